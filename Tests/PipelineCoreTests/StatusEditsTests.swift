// A status told by a few edits in place, against the long way: `replicationInfo` read, changed and written again.
import Testing

@testable import PipelineCore

/// Metadata with these lines, in one of several orders of members.
private func metadata(_ lines: [(site: String, status: String)], order: Int) -> String {
  let backends = lines.map { #"{"site":"\#($0.site)","status":"\#($0.status)","dataStoreVersionId":"v \#($0.site)"}"# }.joined(separator: ",")
  let info = [#""status":"PENDING""#, #""backends":[\#(backends)]"#, #""content":["DATA"]"#, #""storageClass":"a,b""#, #""isNFS":null"#]
  let rest = [#""originOp":"s3:ObjectCreated:Put""#, #""tags":{"k":"\"v\""}"#, #""content-length":12"#]
  func turned(_ parts: [String]) -> [String] { parts.indices.map { parts[($0 + order) % parts.count] } }
  return "{\((turned(rest) + [#""replicationInfo":{\#(turned(info).joined(separator: ","))}"#]).joined(separator: ","))}"
}

/// The value of a republished entry, as JSON.
private func republished(_ entry: ReplicationEntry, _ status: ReplicationStatus, _ versionId: String?) throws -> JSONValue {
  let bytes = EntryEncoder.republished(entry, as: .status(site: "a", status, versionId: versionId))
  return try JSONValue(parsing: Array(try #require(try JSONValue(parsing: bytes)["value"]?.string).utf8))
}

/// The same by `ReplicationInfo`.
private func expected(_ text: String, _ status: ReplicationStatus, _ versionId: String?) throws -> JSONValue {
  var json = try JSONValue(parsing: Array(text.utf8))
  var info = ReplicationInfo(json["replicationInfo"])
  info.set("a", to: status, versionId: versionId)
  json.set("replicationInfo", info.json)
  if let originOp = status.originOp { json.set("originOp", .string(originOp)) }
  return json
}

@Test(arguments: [ReplicationStatus.pending, .completed, .failed, .processing, .replica])
func aStatusToldByEditsReadsAsTheLongWayWritesIt(_ status: ReplicationStatus) throws {
  let others = [[], ["PENDING"], ["COMPLETED"], ["FAILED"], ["REPLICA"], ["PROCESSING"], ["PENDING", "COMPLETED"], ["COMPLETED", "COMPLETED"]]
  for (number, statuses) in others.enumerated() {
    for order in 0..<5 {
      var lines = statuses.enumerated().map { (site: "s\($0)", status: $1) }
      lines.insert(("a", "PENDING"), at: order % (lines.count + 1))
      if number == 6 { lines.append(("a", "COMPLETED")) }
      let text = metadata(lines, order: order)
      for versionId in [nil, "", "v1", "quoted \"", "späť", String(repeating: "x", count: 300)] {
        let entry = try #require(decode(Sample.envelope(value: text), site: "a").entry)
        #expect(try republished(entry, status, versionId) == expected(text, status, versionId), "\(text)")
        let isUsual = versionId.map { $0.utf8.allSatisfy { $0 < 0x80 && $0 != UInt8(ascii: "\"") } } ?? true
        #expect((StatusEdits(entry, site: "a", status: status, versionId: versionId) != nil) == isUsual, "\(text)")
      }
    }
  }
}

/// What is not as `JSON.stringify` writes it goes the long way, and comes out right.
@Test(arguments: [
  (#""status":"PENDING","backends":[{"site":"a""#, #""status":null,"backends":[{"site":"a""#),
  (#"{"site":"a","status":"PENDING""#, #"{"site":"a","status":"SOMETHING""#),
  (#"{"site":"a","status":"PENDING""#, #"{"site":"\u0061","status":"PENDING""#),
  (#"{"site":"a","status":"PENDING""#, #"{"site":"a","status":"PEND\u0049NG""#),
  (#"{"site":"a","status":"PENDING","#, #"{"site":"a","#),
  (#""originOp":"s3:ObjectCreated:Put","#, ""),
  (#""originOp":"s3:ObjectCreated:Put""#, #""originOp":{"was":"put"}"#),
  (#""originOp":"s3:ObjectCreated:Put""#, #""originOp": "s3:ObjectCreated:Put" "#),
  (#"{"site":"a""#, #"{"site":"b""#),
  (#"{"site":"a""#, #"{ "more":[{"x":1}] , "site" : "a""#),
])
func aStatusOfAnUnusualEntryIsToldAllTheSame(_ old: String, _ new: String) throws {
  let usual = metadata([("a", "PENDING"), ("z", "COMPLETED")], order: 0)
  #expect(usual.contains(old))
  let text = usual.replacing(old, with: new)
  let entry = try #require(decode(Sample.envelope(value: text), site: nil).entry, "\(decode(Sample.envelope(value: text), site: nil).word)")
  #expect(try republished(entry, .completed, "v2") == expected(text, .completed, "v2"))
}

@Test(arguments: ["k", "k\0v", "a\"b\0v", "späť", "späť\0v", "a\0b\0c", "tab\t"])
func theKeyIsSpelledAsBefore(_ key: String) throws {
  let entry = try #require(decode(Sample.envelope(key: key), site: nil).entry)
  let bytes = EntryEncoder.republished(entry, as: .status(site: "aws-east", .completed, versionId: nil))
  #expect(try JSONValue(parsing: bytes)["key"] == .string(key))
  #expect(String(decoding: bytes, as: UTF8.self).contains("\"key\":\(JSONValue.string(key).description),\"value\":"))
}

@Test func attributesAreToldInTheOrderStored() throws {
  let text =
    #"{"x-amz-meta-b":"2","content-type":"a/b","expires":"","tags":{"t":"1","u":"\"2\""},"x-amz-met":"n","#
    + #""x-amz-meta-a":"späť \"q\"","cache-control":7,"x-amz-meta-":"e"}"#
  let entry = try #require(decode(Sample.envelope(value: text), site: nil).entry)
  var told: [String] = []
  entry.forEachAttribute(named: AttributeNames(["content-type", "expires", "cache-control"])) { told.append("\($0) \($1)=\($2)") }
  #expect(
    told == ["user x-amz-meta-b=2", "named content-type=a/b", "tag t=1", "tag u=\"2\"", "user x-amz-meta-a=späť \"q\"", "user x-amz-meta-=e"])
}
