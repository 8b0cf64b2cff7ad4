// What a good entry gives: every field, at both levels of encoding, whatever the spelling and the order of the members.

import PipelineCore
import TestSupport
import Testing

@Test func anEntryOfTheQueuePopulatorIsReadWhole() throws {
  let entry = try #require(decode(Sample.entry).entry)
  #expect(entry.bucket == "photos")
  #expect(entry.key == "2031/cat.png")
  #expect(entry.versionedKey == "2031/cat.png\0\(Sample.versionId)")
  #expect(entry.versionId == Sample.versionId)
  #expect(entry.contentLength == 2048)
  #expect(entry.contentMD5 == "0cc175b9c0f1b6a831c399e269772661")
  #expect(entry.lastModified == "2031-02-03T04:05:06.789Z")
  #expect(entry.contentType == "image/png")
  #expect(entry.content == [.data, .metadata])
  #expect(entry.hasData)
  #expect(!entry.isDeleteMarker)
  #expect(entry.status == .pending)
  #expect(entry.siteStatus == .pending)
  #expect(entry.siteVersionId == "")
  #expect(entry.sites == ["aws-east", "dr-ring"])
  #expect(entry.userMetadata.map(\.name) == ["x-amz-meta-color"])
  #expect(entry.userMetadata.map(\.value) == ["deep \"blue\""])
  #expect(entry.tags.map { "\($0.key)=\($0.value)" } == ["k=v"])
  #expect(entry.backends.map(\.site) == ["aws-east", "dr-ring"])
  #expect(entry.backends.map(\.status) == [.pending, .completed])
  #expect(entry.metadataText("dataStoreName") == "us-east-1")
  #expect(entry.metadataText("content-encoding") == nil)
  #expect(String(decoding: entry.metadata, as: UTF8.self) == Sample.metadata)
  #expect(entry.replayCount == nil)
}

@Test func theSiteAskingDecidesWhetherAnEntryIsForIt() {
  #expect(decode(Sample.entry, site: "aws-east").word == "replicate")
  #expect(decode(Sample.entry, site: "dr-ring").word == "replicate")
  #expect(decode(Sample.entry, site: "dr-ring").entry?.siteStatus == .completed)
  #expect(decode(Sample.entry, site: "dr-ring").entry?.siteVersionId == "v7")
  for other in ["aws", "aws-eas", "aws-east2", "ring", "dr-ring,", "preferred_read", ""] {
    #expect(decode(Sample.entry, site: Site(other)).word == "skip not-for-site", "\(other)")
  }
  #expect(decode(Sample.entry, site: nil).word == "replicate")
}

@Test func everyKindOfContentHasItsName() throws {
  let all = ##"["DATA","METADATA","MPU","PUT_TAGGING","DELETE_TAGGING","PUT_RETENTION","PUT_LEGAL_HOLD","NEW"]"##
  let value = Sample.metadata(##"["DATA","METADATA"]"##, all)
  let entry = try #require(decode(Sample.envelope(value: value)).entry)
  let expected: ContentKinds = [
    .data, .metadata, .multipart, .putTagging, .deleteTagging, .putRetention, .putLegalHold, .other,
  ]
  #expect(entry.content == expected)
}

@Test func everyStatusHasItsName() throws {
  for status in ReplicationStatus.allCases {
    let value = Sample.metadata(
      ##""site":"aws-east","status":"PENDING""##, ##""site":"aws-east","status":"\##(status.rawValue)""##)
    #expect(decode(Sample.envelope(value: value)).entry?.siteStatus == status)
  }
}

@Test func membersMayComeInAnyOrderAndUnknownOnesArePassed() throws {
  var members = try #require(try JSONValue(parsing: Sample.entry).members)
  members.append(.init("unknown", .array([.object([.init("deep", .array([.null, .bool(true), .number("-1.5e+7")]))])])))
  let plain = head(Sample.entry).orderKey
  #expect(plain != nil)
  var random = SeededRandom(seed: 1)
  for _ in 0..<100 {
    members.shuffle(using: &random)
    let bytes = JSONValue.object(members).bytes
    #expect(decode(bytes).entry?.key == "2031/cat.png")
    #expect(head(bytes).orderKey == plain)
  }
  var metadata = try #require(try JSONValue(parsing: Sample.metadata).members)
  for _ in 0..<100 {
    metadata.shuffle(using: &random)
    let entry = decode(Sample.envelope(value: JSONValue.object(metadata).description)).entry
    #expect(entry?.contentLength == 2048)
    #expect(entry?.lastModified == "2031-02-03T04:05:06.789Z")
    #expect(entry?.siteStatus == .pending)
  }
}

@Test func whiteSpaceIsFineAtBothLevels() throws {
  let value =
    "\n\t { \"content-length\" : 5 , \"replicationInfo\" :"
    + " { \"storageClass\" : \"aws-east\" , \"content\" : [ \"DATA\" ] } } \r\n"
  let nested = JSONValue.string(value).description
  let entry = try #require(decode("  { \"bucket\" : \"b\" ,\n \"key\" :\t\"k\" , \"value\" : \(nested) }\r\n ").entry)
  #expect(entry.contentLength == 5)
  #expect(entry.content == .data)
  #expect(entry.versionId == nil)
}

/// White space around everything that is structure: none of the short ways through the usual form is taken.
private func spaced(_ text: String) -> String {
  var result = ""
  var isInString = false
  var isEscaped = false
  for scalar in text.unicodeScalars {
    let isStructure = !isInString && "{}[],:".unicodeScalars.contains(scalar)
    if isStructure { result += " " }
    result.unicodeScalars.append(scalar)
    if isStructure { result += "\n" }
    if scalar == "\"", !isEscaped { isInString.toggle() }
    isEscaped = isInString && scalar == "\\" && !isEscaped
  }
  return result
}

@Test func theUsualFormAndAnyOtherMeanTheSame() {
  let numbers = [
    "0", "7", "00", "01", "-1", "-0", "1.0", "1e3", "2E+2", "1.", ".5", "+1", "123456789012345678", "1234567890123456789",
    "9223372036854775807", "9223372036854775808", "99999999999999999999", "\"12\"", "\"\"", "null", "true", "[1]", "{}", "1x", "x",
  ]
  let values =
    [Sample.metadata] + numbers.map { Sample.metadata("\"content-length\":2048", "\"content-length\":\($0)") }
    + ["[]", "null", "[1]", "[\"DATA\",null]", "[\"DATA\",\"\"]", "[\"PUT_TAGGING\"]", "{}", "[\"DATA\"", "\"DATA\""].map {
      Sample.metadata("[\"DATA\",\"METADATA\"]", $0)
    }
    + ["", ",", "aws-east", "aws-east,", "aws-east:preferred_read", "AWS-east", "aws-eas", "x,aws-east", "é,aws-east"].map {
      Sample.metadata("aws-east:preferred_read,dr-ring", $0)
    }
    + ["", "a\\u0062", "é", "\\ud83d\\ude00", "x\\ny", "1234567", "12345678", "123456789"].map {
      Sample.metadata("\"last-modified\":\"2031-02-03T04:05:06.789Z\"", "\"last-modified\":\"\($0)\"")
    }
  let keys = ["k", "", "\0", "k\0", "k\0v\0w", "a\nb\0v", "\u{7f}Mk\0v", "\u{7f}Vk", "é\0v", "12345678\0v", "a/b\"c\\d\0v"]
  let buckets = ["b", "12345678", "123456789", "a/b", "1234567/", "12345678/", ".", "..", "...", "users..bucket", "é", "a\0b", ""]
  var entries = values.map { (plain: Sample.envelope(value: $0), other: Sample.envelope(value: spaced($0))) }
  entries += keys.map { (Sample.envelope(key: $0), Sample.envelope(key: $0, value: spaced(Sample.metadata))) }
  entries += buckets.map { (Sample.envelope(bucket: $0), Sample.envelope(bucket: $0, value: spaced(Sample.metadata))) }
  entries += [nil, "put", "del", "pu", "putt", "PUT", ""].map {
    (Sample.envelope(type: $0), Sample.envelope(type: $0, value: spaced(Sample.metadata)))
  }
  for (plain, other) in entries {
    let other = Array(spaced(String(decoding: other, as: UTF8.self)).utf8)
    let text = String(decoding: plain, as: UTF8.self)
    for site: Site? in ["aws-east", "dr-ring", "", ",", nil] {
      #expect(meaning(of: plain, site) == meaning(of: other, site), "for \(site?.name ?? "any site"): \(text)")
      #expect(decode(plain, site: site).word == route(plain, site: site).word)
    }
    #expect(head(plain).orderKey == head(other).orderKey, "\(text)")
  }
}

/// Every way to write one character of JSON inside JSON: plain, escaped at the inner level, at the outer, at both.
private func spellings(of scalar: Unicode.Scalar, inner: Bool) -> [String] {
  func escape(_ text: String) -> [String] {
    var units: [String] = [""]
    for unit in text.utf16 {
      let hex = String(unit, radix: 16)
      let padded = String(repeating: "0", count: 4 - hex.count) + hex
      units = units.flatMap { [$0 + "\\u" + padded, $0 + "\\u" + padded.uppercased()] }
    }
    return units
  }
  let needsEscape = scalar == "\"" || scalar == "\\" || scalar.value < 0x20
  let innerForms = inner ? (needsEscape ? [] : [String(scalar)]) + escape(String(scalar)) : [String(scalar)]
  // The outer level: written by the rules, or every character as \uXXXX.
  return innerForms.flatMap { text -> [String] in
    let byRule = String(JSONValue.string(text).description.dropFirst().dropLast())
    let all = text.unicodeScalars.map { escape(String($0))[0] }.joined()
    return [byRule, all]
  }
}

@Test func escapesAreUndoneAtBothLevels() throws {
  let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "/", "\n", "\u{7f}", "é", "€", "\u{ffff}", "𝄞", "\u{10ffff}", "\u{1}"]
  for scalar in scalars {
    for text in spellings(of: scalar, inner: true) {
      let value = "{\\\"content-type\\\":\\\"<\(text)>\\\",\\\"replicationInfo\\\":{\\\"storageClass\\\":\\\"s\\\"}}"
      let entry = decode("{\"bucket\":\"b\",\"key\":\"k\",\"value\":\"\(value)\"}", site: "s").entry
      #expect(entry?.contentType == "<\(scalar)>", "\(text)")
    }
    for text in spellings(of: scalar, inner: false) {
      let value = "{\\\"replicationInfo\\\":{\\\"storageClass\\\":\\\"s\\\"}}"
      let bytes = Array("{\"bucket\":\"b\",\"key\":\"<\(text)>\",\"value\":\"\(value)\"}".utf8)
      #expect(decode(bytes, site: "s").entry?.key == "<\(scalar)>", "\(text)")
      #expect(head(bytes).orderKey == OrderKey.hash(bucket: "b", key: "<\(scalar)>"), "\(text)")
    }
  }
}

@Test func namesOfMembersMayBeEscapedToo() throws {
  let value =
    ##"{\"content\\u002dlength\":7,\"\u0072eplicationInfo\":{\"storage\\u0043lass\":\"\\u0073\",\"content\":[\"D\\u0041TA\"]}}"##
  let entry = try #require(decode(##"{"buc\u006bet":"b","\u006bey":"k","val\u0075e":"\##(value)"}"##, site: "s").entry)
  #expect(entry.contentLength == 7)
  #expect(entry.content == .data)
}

@Test func aQuoteMayBeWrittenAsUnicodeEscapeEvenAsStructure() throws {
  let value = ##"{\u0022content-length\u0022:7,\u0022replicationInfo\u0022:{\u0022storageClass\u0022:\u0022s\u0022}}"##
  #expect(decode(##"{"bucket":"b","key":"k","value":"\##(value)"}"##, site: "s").entry?.contentLength == 7)
  let odd =
    ##"\u007b\u0022x\u0022\u003a\u005b1\u002c\u0074rue\u005d,"##
    + ##"\u0022replicationInfo\u0022:{\u0022storageClass\u0022:\u0022s\u0022}\u007D"##
  #expect(decode(##"{"bucket":"b","key":"k","value":"\##(odd)"}"##, site: "s").word == "replicate")
}

// MARK: - Heads and order keys

@Test func theHeadHasTheObjectsOrderKey() throws {
  guard case .entry(let found) = head(Sample.entry) else { throw Missing() }
  #expect(found.orderKey == OrderKey.hash(bucket: "photos", key: "2031/cat.png"))
  #expect(found.orderKey == decode(Sample.entry).entry?.orderKey)
}

struct Missing: Error {}

@Test func theHeadNeedsNoMoreThanItsOwnPartOfTheEntry() throws {
  let text = String(decoding: Sample.entry, as: UTF8.self)
  let cut = try #require(text.firstRange(of: "\"value\""))
  let front = Array(text[..<cut.lowerBound].utf8)
  #expect(head(front).orderKey == head(Sample.entry).orderKey)
  #expect(decode(front).deadLetter == .cutJSON)
}

@Test func allVersionsOfAKeyHaveOneOrderKeyAndOtherKeysAnother() {
  let base = head(Sample.envelope(key: "2031/cat.png")).orderKey
  for key in ["2031/cat.png\0v1", "2031/cat.png\0", "\u{7f}M2031/cat.png", "\u{7f}V2031/cat.png\0v1", "2031/cat.png\0v1\0v2"] {
    #expect(head(Sample.envelope(key: key)).orderKey == base, "\(key)")
  }
  for key in ["2031/cat.pnh", "2031/cat.pn", "2031/cat.png ", "\u{7f}X2031/cat.png", "\u{7f}", "M2031/cat.png", "\u{7f}\u{7f}M"] {
    #expect(head(Sample.envelope(key: key)).orderKey != base, "\(key)")
  }
  #expect(head(Sample.envelope(bucket: "photo", key: "s2031/cat.png")).orderKey != base)
  #expect(OrderKey.hash(bucket: "a", key: "b") != OrderKey.hash(bucket: "ab", key: ""))
}

@Test func theOrderKeyOfAnyKeyIsTheSameHoweverItIsReached() {
  var random = SeededRandom(seed: 5)
  let alphabet: [Character] = Array("abc/ .\"\\é€𝄞\u{7f}MV\n")
  for _ in 0..<2000 {
    let key = String((0...random.below(30)).map { _ in alphabet[random.below(alphabet.count)] })
    let bucket = String(repeating: "b", count: 1 + random.below(20))
    let bytes = Sample.envelope(bucket: bucket, key: key + "\0" + Sample.versionId)
    guard let entry = decode(bytes).entry else {
      #expect(decode(bytes).word == "key-empty", "\(key.debugDescription)")
      continue
    }
    let expected = OrderKey.hash(bucket: bucket, key: entry.key)
    #expect(head(bytes).orderKey == expected, "\(key.debugDescription)")
    if !key.hasPrefix("\u{7f}") { #expect(entry.key == key) }
  }
}

@Test func aMessageKeyIsSpeltAsBackbeatSpellsIt() {
  let escaped = EntryEncoder.messageKey(bucket: "photos", key: "2031/cät (1)'s!~*.png")
  #expect(String(decoding: escaped, as: UTF8.self) == "photos%2F2031%2Fc%C3%A4t%20(1)'s!~*.png")
}

/// What is to be done, in whatever form it is written. A repeat of an update is known by its bytes, so by its form.
private func meaning(of entry: [UInt8], _ site: Site?) -> String {
  guard case .replicate(let routing) = route(entry, site: site) else { return "\(route(entry, site: site))" }
  let isCopyAlone = routing.content.contains(.data) && routing.content.isSubset(of: [.data, .metadata, .multipart])
  return "\(routing.orderKey) \(routing.contentLength) \(routing.content) \(routing.isDeleteMarker) "
    + (isCopyAlone ? "\(routing.dedupeHash)" : "-")
}

@Test func aDedupeHashSeesVersionContentTimeAndBytes() throws {
  func hash(_ bytes: [UInt8]) throws -> UInt64 { try #require(decode(bytes).entry).dedupeHash }
  let base = try hash(Sample.entry)
  #expect(try hash(Sample.entry) == base)
  let others = [
    Sample.envelope(value: Sample.metadata("\"versionId\":\"98123", "\"versionId\":\"98124")),
    Sample.envelope(value: Sample.metadata("[\"DATA\",\"METADATA\"]", "[\"METADATA\",\"PUT_TAGGING\"]")),
    Sample.envelope(
      value: Sample.metadata("\"last-modified\":\"2031-02-03T04:05:06.789Z\"", "\"last-modified\":\"2031-02-03T04:05:06.790Z\"")),
    Sample.envelope(value: Sample.metadata("\"content-md5\":\"0cc", "\"content-md5\":\"1cc")),
    Sample.envelope(value: Sample.metadata("\"isDeleteMarker\":false", "\"isDeleteMarker\":true")),
    Sample.envelope(bucket: "photos2"),
    Sample.envelope(key: "2031/cat2.png\0\(Sample.versionId)"),
  ]
  for other in others { #expect(try hash(other) != base) }
  guard case .replicate(let routing) = route(Sample.entry) else { throw Missing() }
  #expect(routing.dedupeHash == base)
  #expect(routing.contentLength == 2048)
  #expect(routing.content == [.data, .metadata])
}

@Test func updatesOfOneVersionAreToldApartByAllTheySay() throws {
  func hash(_ tags: String) throws -> UInt64 {
    let value = Sample.metadata("[\"DATA\",\"METADATA\"]", "[\"METADATA\",\"PUT_TAGGING\"]")
    let update = "{\"tags\":{\"colour\":\"\(tags)\"}," + value.dropFirst()
    return try #require(decode(Sample.envelope(value: update)).entry).dedupeHash
  }
  #expect(try hash("red") == hash("red"))
  #expect(try hash("red") != hash("blue"))
}

// MARK: - The other kinds of entry (backbeat-behaviour 4.3 to 4.5)

@Test func otherKindsOfEntriesAreTheirOwnOutcome() {
  let canary = EntryEncoder.canary
  #expect(decode(canary).word == "skip canary")
  #expect(head(canary) == .canary)
  #expect(decode("{\"bootstrapId\":\"17\"}").word == "skip bootstrap")
  #expect(head(Array("{\"bootstrapId\":\"17\"}".utf8)) == .canary)
  let del = Array("{\"type\":\"del\",\"bucket\":\"photos\",\"key\":\"2031/cat.png\\u0000v\"}".utf8)
  #expect(decode(del).word == "skip delete-operation")
  #expect(head(del).orderKey == head(Sample.entry).orderKey)
  let echo = Sample.envelope(
    bucket: "users..bucket", key: "9f1c0a77e2..|..photos", value: "{\"creationDate\":\"2031-02-03T04:05:06.789Z\"}")
  #expect(decode(echo).word == "skip bucket-entry")
  #expect(head(echo) == .bucketEntry)
  #expect(decode(Sample.envelope(key: "b", value: "{\"mdBucketModelVersion\":10,\"name\":\"b\"}")).word == "skip bucket-metadata")
  #expect(decode(Sample.envelope(key: "b", value: "{\"attributes\":\"{}\"}")).word == "skip bucket-metadata")
  #expect(decode(Sample.envelope(value: "{}")).word == "skip not-for-site")
  #expect(decode(Sample.envelope(value: "{}"), site: nil).word == "replicate")
}

@Test func aDeleteMarkerNeedsNoLength() throws {
  let value = Sample.metadata("\"isDeleteMarker\":false", "\"isDeleteMarker\":true").replacing(
    "\"content-length\":2048,", with: "")
  let entry = try #require(decode(Sample.envelope(value: value)).entry)
  #expect(entry.isDeleteMarker)
  #expect(entry.contentLength == 0)
}

@Test func aBrokenEntryForAnotherSiteIsThatSitesDeadLetterOnly() {
  let bytes = Sample.envelope(value: Sample.metadata("\"content-length\":2048", "\"content-length\":-1"))
  #expect(decode(bytes, site: "aws-east").word == "content-length-invalid")
  #expect(decode(bytes, site: "elsewhere").word == "skip not-for-site")
}

@Test func statusAndReplayFieldsOfTheEnvelopeAreRead() throws {
  let value = JSONValue.string(Sample.metadata).description
  let text =
    "{\"bucket\":\"photos\",\"key\":\"k\",\"value\":\(value),"
    + "\"site\":\"aws-east\",\"ignore\":true,\"replayCount\":3,\"accountId\":null}"
  let entry = try #require(decode(text, site: nil).entry)
  #expect(entry.envelopeSite == "aws-east")
  #expect(entry.replayCount == 3)
  #expect(entry.isIgnored)
}

// MARK: - Version ids

@Test func versionIdsAreEncodedAsTheServerDoes() {
  let pairs = [
    ("98505119639965999999RG001  ", "aKDK9daSsjRt00000000001I4j3QKItW"),
    ("98271448299876999999RG001  ", "aJ3HhXaMqSTB00000000001I4j3QKItW"),
    ("98498980852335999999RG001  100", "393834393839383038353233333539393939393952473030312020313030"),
    ("97850", "3937383530"), ("null", "null"),
  ]
  for (raw, encoded) in pairs {
    #expect(VersionId.encode(raw) == encoded)
    #expect(VersionId.decode(encoded) == raw)
  }
  for bad in ["", "abc", "zz", String(repeating: "!", count: 32), String(repeating: "Z", count: 32)] {
    #expect(VersionId.decode(bad) == nil, "\(bad)")
  }
}
