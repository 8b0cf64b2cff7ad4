// What the populator writes is what the pipeline reads.
import PipelineCore
import Testing

@testable import Pipeline

@Test(arguments: ["plain", "d/e f/ünï 名", "%41 \"quoted\" back\\slash", "new\nline\ttab", "mpuShadowBucket", "a&b?c#d+e"])
func anEntryDecodesToTheFileItWasMadeOf(path: String) throws {
  let file = WalkedFile(path: path, size: 1_234_567_890_123, modifiedNs: 1_928_376_450_123_456_789)
  let (key, value) = EntryForm(site: "b").encode(ObjectName(bucket: "bucket", key: path), file)
  #expect(key == EntryEncoder.messageKey(bucket: "bucket", key: path))
  guard case .replicate(let entry) = EntryDecoder.decode(value.span, site: "b") else {
    Issue.record("not to be replicated")
    return
  }
  #expect(entry.bucket == "bucket")
  #expect(entry.key == path)
  #expect(entry.versionId == nil)
  #expect(entry.contentLength == file.size)
  #expect(entry.contentMD5.isEmpty)
  #expect(entry.lastModified == "2031-02-09T04:07:30.123Z")
  #expect(!entry.isDeleteMarker)
  #expect(entry.sites == ["b"])
  #expect(entry.siteStatus == .pending)
  guard case .skip = EntryDecoder.decode(value.span, site: "another") else {
    Issue.record("meant for one location only")
    return
  }
}

@Test func aDeletedFileBecomesADeleteMarker() {
  let (_, value) = EntryForm(site: "b").encode(ObjectName(bucket: "bucket", key: "gone"), nil)
  guard case .replicate(let entry) = EntryDecoder.decode(value.span, site: "b") else {
    Issue.record("not to be replicated")
    return
  }
  #expect(entry.isDeleteMarker)
  #expect(entry.contentLength == 0)
}
