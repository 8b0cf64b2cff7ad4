// What is written is what Backbeat writes, byte for byte, and reads back as what was given.

import PipelineCore
import Testing

@Test func aPopulatedEntryHasTheBytesOfTheQueuePopulator() throws {
  var object = ObjectRecord(
    bucket: "photos", key: "2031/cat \"1\".png", versionId: "98123", lastModified: "2031-02-03T04:05:06.789Z",
    sites: ["aws-east", "dr-ring"])
  object.contentLength = 2048
  object.contentType = "image/png"
  object.contentMD5 = "0cc175b9c0f1b6a831c399e269772661"
  object.ownerId = "9f1c"
  object.ownerDisplayName = "zoo"
  object.tags = [("k", "v")]
  object.userMetadata = [("x-amz-meta-a", "b\\c\n")]
  object.destination = "arn:aws:s3:::photos"
  object.commitTimestamp = "2031-02-03T04:05:06.800Z"
  let expected = ##"""
    {"type":"put","bucket":"photos","key":"2031/cat \"1\".png\u000098123","value":"{\"md-model-version\":3,\##
    \"owner-display-name\":\"zoo\",\"owner-id\":\"9f1c\",\"content-length\":2048,\"content-type\":\"image/png\",\##
    \"content-md5\":\"0cc175b9c0f1b6a831c399e269772661\",\"x-amz-meta-a\":\"b\\\\c\\n\",\##
    \"last-modified\":\"2031-02-03T04:05:06.789Z\",\"versionId\":\"98123\",\"location\":null,\##
    \"dataStoreName\":\"us-east-1\",\"isDeleteMarker\":false,\"tags\":{\"k\":\"v\"},\##
    \"acl\":{\"Canned\":\"private\",\"FULL_CONTROL\":[],\"WRITE_ACP\":[],\"READ\":[],\"READ_ACP\":[]},\##
    \"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"aws-east\",\"status\":\"PENDING\",\##
    \"dataStoreVersionId\":\"\"},{\"site\":\"dr-ring\",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"}],\##
    \"content\":[\"DATA\",\"METADATA\"],\"destination\":\"arn:aws:s3:::photos\",\"storageClass\":\"aws-east,\##
    dr-ring\",\"role\":\"\",\"storageType\":\"\",\"dataStoreVersionId\":\"\",\"isNFS\":null}}",\##
    "overheadFields":{"commitTimestamp":"2031-02-03T04:05:06.800Z","opTimestamp":null,"versionId":"98123"}}
    """##
  let bytes = EntryEncoder.populated(object)
  #expect(String(decoding: bytes, as: UTF8.self) == expected)
  let entry = try #require(decode(bytes).entry)
  #expect(entry.key == object.key)
  #expect(entry.versionId == "98123")
  #expect(entry.userMetadata.map(\.value) == ["b\\c\n"])
  #expect(entry.sites == object.sites)
  #expect(entry.contentLength == 2048)
}

@Test func anObjectWithoutVersionsHasItsBareKey() throws {
  let object = ObjectRecord(bucket: "docs", key: "a/b", versionId: nil, lastModified: "2031-02-03T04:05:06.789Z", sites: ["b"])
  let entry = try #require(decode(EntryEncoder.populated(object), site: "b").entry)
  #expect(entry.versionedKey == "a/b")
  #expect(entry.versionId == nil)
  #expect(entry.encodedVersionId == nil)
}

@Test func strangeNamesSurviveTheRoundTrip() throws {
  let names = ["é€𝄞", "a\tb\r\n", "\u{1}\u{1f}", "\"\\/", "%41", " ", "\u{7f}", "\u{2028}", "\\u0041", "\\\"", "a\u{7f}Mb"]
  for name in names {
    var object = ObjectRecord(bucket: "b", key: "k\(name)", versionId: "v\(name)", lastModified: "", sites: ["s"])
    object.contentType = name
    object.tags = [(name, name)]
    let entry = try #require(decode(EntryEncoder.populated(object), site: "s").entry)
    #expect(entry.key == object.key)
    #expect(entry.versionId == object.versionId)
    #expect(entry.contentType == name)
    #expect(entry.tags.map(\.key) == [name])
    #expect(entry.tags.map(\.value) == [name])
  }
}

/// The sample entry with two fields of its metadata in another state, as text.
private func republishedMetadata(info: String, originOp: String) -> String {
  Sample.metadata
    .replacing(
      "\"status\":\"PENDING\",\"backends\":[{\"site\":\"aws-east\",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"},"
        + "{\"site\":\"dr-ring\",\"status\":\"COMPLETED\",\"dataStoreVersionId\":\"v7\"}]",
      with: info
    )
    .replacing("s3:ObjectCreated:Put", with: originOp)
}

@Test func aStatusEntryChangesNothingButTheStatus() throws {
  let entry = try #require(decode(Sample.entry).entry)
  let bytes = EntryEncoder.republished(entry, as: .status(site: "aws-east", .failed, versionId: nil))
  let info =
    "\"status\":\"FAILED\",\"backends\":[{\"site\":\"aws-east\",\"status\":\"FAILED\",\"dataStoreVersionId\":\"\"},"
    + "{\"site\":\"dr-ring\",\"status\":\"COMPLETED\",\"dataStoreVersionId\":\"v7\"}]"
  let value = republishedMetadata(info: info, originOp: "s3:Replication:OperationFailedReplication")
  let expected = JSONValue.object([
    .init("bucket", .string("photos")), .init("key", .string("2031/cat.png\0\(Sample.versionId)")),
    .init("value", .string(value)),
    .init("site", .string("aws-east")), .init("ignore", .bool(false)), .init("accountId", .null),
  ])
  #expect(String(decoding: bytes, as: UTF8.self) == expected.description)
  let read = try #require(decode(bytes).entry)
  #expect(read.siteStatus == .failed)
  #expect(read.envelopeSite == "aws-east")
}

@Test func aCompletedStatusCarriesTheVersionAtTheTarget() throws {
  let entry = try #require(decode(Sample.entry).entry)
  let read = try #require(
    decode(EntryEncoder.republished(entry, as: .status(site: "aws-east", .completed, versionId: "t\"1"))).entry)
  #expect(read.siteStatus == .completed)
  #expect(read.siteVersionId == "t\"1")
  #expect(read.status == .completed)
  #expect(read.metadataText("originOp") == "s3:Replication:OperationCompletedReplication")
  #expect(read.versionedKey == entry.versionedKey)
  #expect(read.orderKey == entry.orderKey)
}

@Test func aRetryAndAReplayAreForOneSiteOnly() throws {
  let entry = try #require(decode(Sample.entry).entry)
  let retry = EntryEncoder.republished(entry, as: .retry(site: "dr-ring"))
  #expect(decode(retry, site: "aws-east").word == "skip not-for-site")
  let read = try #require(decode(retry, site: "dr-ring").entry)
  #expect(read.backends.map(\.site) == ["dr-ring"])
  #expect(read.siteStatus == .pending)
  #expect(read.status == .pending)
  #expect(read.envelopeSite == "dr-ring")
  let replay = try #require(
    decode(EntryEncoder.republished(read, as: .replay(site: "dr-ring", replayCount: 4)), site: "dr-ring").entry)
  #expect(replay.replayCount == 4)
  #expect(replay.envelopeSite == nil)
}

@Test func metadataWithoutTheFieldsGetThem() throws {
  for value in ["{}", " { } ", #"{"content-length":1}"#, "{\"content-length\":1\n}"] {
    let entry = try #require(decode(Sample.envelope(value: value), site: nil).entry)
    let bytes = EntryEncoder.republished(entry, as: .status(site: "s", .completed, versionId: nil))
    let read = try #require(decode(bytes, site: nil).entry, "\(value)")
    #expect(read.status == .completed)
    #expect(read.metadataText("originOp") != nil)
  }
}
