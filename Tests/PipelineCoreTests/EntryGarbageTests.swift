// What is no entry: each kind of garbage has its own reason, no cut and no mutation gets through or crashes, and the
// nested scanner agrees with the plain one about what is JSON.

import PipelineCore
import TestSupport
import Testing

private func nest(_ value: String) -> String { JSONValue.string(value).description }

/// Text of an entry around a raw `value` member.
private func around(_ value: String) -> String { "{\"type\":\"put\",\"bucket\":\"b\",\"key\":\"k\",\"value\":\(value)}" }

private let goodValue = nest(#"{"content-length":1,"replicationInfo":{"storageClass":"s","content":["DATA"]}}"#)

private let garbage: [(text: String, reason: String)] = [
  ("", "cut-json"),
  ("   ", "cut-json"),
  ("{", "cut-json"),
  (#"{"type":"put","bucket":"b","key":"k","value":"{\"content-length\":1,"#, "cut-json"),
  (#"{"type":"put","bucket":"b","key":"k","value":"{\"content-le"#, "cut-json"),
  ("hello", "not-an-object"),
  ("[1,2]", "not-an-object"),
  ("\"text\"", "not-an-object"),
  ("null", "not-an-object"),
  ("{bucket:1}", "bad-json"),
  ("{\"a\" 1}", "bad-json"),
  ("{\"a\":01}", "bad-json"),
  ("{\"a\":1,}", "bad-json"),
  ("{\"a\":tru}", "bad-json"),
  ("{\"a\":+1}", "bad-json"),
  ("{\"a\":1.}", "bad-json"),
  ("{\"a\":[1}}", "bad-json"),
  (around(goodValue) + "x", "bad-json"),
  (around(goodValue) + around(goodValue), "bad-json"),
  ("{\"a\":\"\t\"}", "control-character"),
  ("{\"a\":\"\u{1}\"}", "control-character"),
  ("{\"a\":\"\\x\"}", "bad-escape"),
  ("{\"a\":\"\\u12g4\"}", "bad-escape"),
  ("{\"a\":\"\\ud800\"}", "bad-escape"),
  ("{\"a\":\"\\ud800\\u0041\"}", "bad-escape"),
  ("{\"a\":\"\\udc00\"}", "bad-escape"),
  ("{\"a\":" + String(repeating: "[", count: 100) + String(repeating: "]", count: 100) + "}", "nesting-too-deep"),
  ("{\"a\":" + String(repeating: "{\"a\":", count: 100) + "1" + String(repeating: "}", count: 101), "nesting-too-deep"),
  ("{\"bucket\":\"b\",\"bucket\":\"c\",\"key\":\"k\",\"value\":\(goodValue)}", "duplicate-field"),
  ("{}", "bucket-missing"),
  ("{\"key\":\"k\",\"value\":\(goodValue)}", "bucket-missing"),
  ("{\"bucket\":7,\"key\":\"k\",\"value\":\(goodValue)}", "bucket-not-text"),
  ("{\"bucket\":null,\"key\":\"k\",\"value\":\(goodValue)}", "bucket-not-text"),
  ("{\"bucket\":\"\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\".\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"..\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"\\u002e.\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"a/b\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"a\\/b\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"a\\u0000b\",\"key\":\"k\",\"value\":\(goodValue)}", "bucket-refused"),
  ("{\"bucket\":\"b\",\"value\":\(goodValue)}", "key-missing"),
  ("{\"bucket\":\"b\",\"key\":[],\"value\":\(goodValue)}", "key-not-text"),
  ("{\"bucket\":\"b\",\"key\":\"\",\"value\":\(goodValue)}", "key-empty"),
  ("{\"bucket\":\"b\",\"key\":\"\\u0000v\",\"value\":\(goodValue)}", "key-empty"),
  ("{\"bucket\":\"b\",\"key\":\"\\u007fM\",\"value\":\(goodValue)}", "key-empty"),
  ("{\"type\":7,\"bucket\":\"b\",\"key\":\"k\",\"value\":\(goodValue)}", "type-not-text"),
  ("{\"type\":\"batch\",\"bucket\":\"b\",\"key\":\"k\",\"value\":\(goodValue)}", "type-unknown"),
  ("{\"bucket\":\"b\",\"key\":\"k\"}", "value-missing"),
  (around("null"), "value-missing"),
  (around("{}"), "value-not-text"),
  (around("17"), "value-not-text"),
  (around("\"\""), "value-cut-json"),
  (around(nest(#"{"content-length":"#)), "value-cut-json"),
  (around(nest(#"{"content-length":1,"a":"b"#)), "value-cut-json"),
  (around(nest("[]")), "value-not-an-object"),
  (around(nest("7")), "value-not-an-object"),
  (around(nest("{a:1}")), "value-bad-json"),
  (around(nest("{} x")), "value-bad-json"),
  (around(nest("{\"a\":.5}")), "value-bad-json"),
  (around(nest("{\"a\":\"\t\"}")), "value-control-character"),
  (around(nest("{\"a\":\"\u{0}\"}")), "value-control-character"),
  (around(nest(#"{"a":"\x"}"#)), "value-bad-escape"),
  (around(nest(#"{"a":"\ud800"}"#)), "value-bad-escape"),
  (around(nest(#"{"a":"\udfff"}"#)), "value-bad-escape"),
  (
    around(nest("{\"a\":" + String(repeating: "[", count: 64) + String(repeating: "]", count: 64) + "}")),
    "value-nesting-too-deep"
  ),
  (around(nest(#"{"versionId":"a","versionId":"b"}"#)), "value-duplicate-field"),
  (around(nest(#"{"content-length":-1,"replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"content-length":1.5,"replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"content-length":1e99,"replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"content-length":99999999999999999999,"replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"content-length":"many","replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"content-length":{},"replicationInfo":{"storageClass":"s"}}"#)), "content-length-invalid"),
  (around(nest(#"{"replicationInfo":{"storageClass":"s","content":["DATA"]}}"#)), "content-length-missing"),
  (around(nest(#"{"replicationInfo":7}"#)), "value-field-wrong-type"),
  (around(nest(#"{"replicationInfo":{"storageClass":["s"]}}"#)), "value-field-wrong-type"),
  (around(nest(#"{"replicationInfo":{"storageClass":"s","content":"DATA"}}"#)), "value-field-wrong-type"),
  (around(nest(#"{"replicationInfo":{"storageClass":"s","content":[1]}}"#)), "value-field-wrong-type"),
  (around(nest(#"{"replicationInfo":{"storageClass":"s","backends":[7]}}"#)), "value-field-wrong-type"),
  (around(nest(#"{"versionId":7,"replicationInfo":{"storageClass":"s"}}"#)), "value-field-wrong-type"),
  (around(nest(#"{"isDeleteMarker":7,"replicationInfo":{"storageClass":"s"}}"#)), "value-field-wrong-type"),
]

@Test func eachKindOfGarbageHasItsReason() {
  #expect(decode(around(goodValue), site: "s").word == "replicate")
  for (text, reason) in garbage {
    #expect(decode(text, site: "s").word == reason, "\(text.prefix(120))")
    #expect(route(Array(text.utf8), site: "s").word == reason, "\(text.prefix(120))")
  }
  #expect(garbage.count >= 30)
}

@Test func bytesThatAreNoUTF8AreRefusedWhereverTheyStand() {
  let broken: [[UInt8]] = [
    [0x80], [0xC0, 0x80], [0xC3], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
    [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x82],
  ]
  for place in ["2031", "image", "bart", "commitTimestamp"] {
    let text = String(decoding: Sample.entry, as: UTF8.self).split(
      separator: place, maxSplits: 1, omittingEmptySubsequences: false)
    for bytes in broken {
      let entry = Array(text[0].utf8) + bytes + Array(text[1].utf8)
      #expect(decode(entry).word == "bad-utf8", "\(bytes) at \(place)")
    }
    for good in ["é", "€", "𝄞", "\u{7f}", "\u{80}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{ffff}", "\u{10ffff}"] {
      let entry = Array(text[0].utf8) + Array(good.utf8) + Array(text[1].utf8)
      #expect(["replicate", "skip not-for-site"].contains(decode(entry).word), "\(good) at \(place)")
    }
  }
}

@Test func noPrefixOfAnEntryGetsThrough() {
  let whole = Sample.entry
  let orderKey = head(whole).orderKey
  for end in 0..<whole.count {
    let cut = Array(whole[..<end])
    #expect(decode(cut).deadLetter == .cutJSON, "cut at \(end)")
    switch head(cut) {
    case .entry(let head): #expect(head.orderKey == orderKey, "cut at \(end)")
    case .deadLetter(let reason): #expect(reason == .cutJSON, "cut at \(end)")
    case .bucketEntry, .canary: Issue.record("cut at \(end)")
    }
  }
}

@Test func noCutInsideTheValueGetsThrough() {
  let text = Array(Sample.metadata.utf8)
  for end in 0..<text.count {
    let reason = decode(Sample.envelope(value: String(decoding: text[..<end], as: UTF8.self))).deadLetter
    // A cut inside a number or a literal is bad rather than cut; either way it is refused.
    #expect(reason == .valueCutJSON || reason == .valueBadJSON, "cut at \(end)")
  }
}

@Test func anEntryOfTenMegabytesIsReadLikeAnyOther() {
  let long = String(repeating: "x", count: 10 << 20)
  let bytes = Sample.envelope(value: Sample.metadata("deep \\\"blue\\\"", long))
  #expect(decode(bytes).entry?.userMetadata.first?.value.utf8.count == 10 << 20)
}

// MARK: - Mutations

private func parsed(_ bytes: [UInt8]) -> JSONValue? {
  do {
    return try JSONValue(parsing: bytes, depthMax: 64)
  } catch {
    return nil
  }
}

/// What must hold of any bytes at all.
private func check(_ bytes: [UInt8], _ note: @autoclosure () -> String) {
  let outcome = decode(bytes)
  let word = outcome.word
  if route(bytes).word != word { Issue.record("decode and decodeRouting differ: \(word) \(note())") }
  guard let entry = outcome.entry else { return }
  // Accepted: then it is JSON by the other reader too, and head, entry and document name the same object.
  guard let document = parsed(bytes), let value = document["value"]?.string, parsed(Array(value.utf8)) != nil else {
    Issue.record("accepted, but no JSON \(note())")
    return
  }
  if head(bytes).orderKey != entry.orderKey { Issue.record("head and decode name different objects \(note())") }
  if document["bucket"]?.string != entry.bucket { Issue.record("another bucket \(note())") }
  if OrderKey.hash(bucket: entry.bucket, key: entry.key) != entry.orderKey {
    Issue.record("order key is of another name \(note())")
  }
  _ = (entry.userMetadata.count, entry.tags.count, entry.backends, entry.encodedVersionId, entry.metadata)
}

private let spice = Array("\"\\{}[]:,u0018dDEe+-.\t /nul".utf8) + [0, 0x7F, 0x80, 0xC3, 0xED, 0xF4, 0xFF]

@Test(arguments: 0..<8)
func mutatedEntriesNeverCrashAndNeverNameTwoObjects(seed: Int) {
  var random = SeededRandom(seed: UInt64(seed))
  for round in 0..<1500 {
    var bytes = Sample.entry
    for _ in 0...random.below(3) {
      let at = random.below(bytes.count)
      switch random.below(6) {
      case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[at] = spice[random.below(spice.count)]
      case 2: bytes.insert(spice[random.below(spice.count)], at: at)
      case 3: bytes.remove(at: at)
      case 4: bytes.removeSubrange(at..<min(bytes.count, at + random.below(40)))
      default:
        let from = random.below(bytes.count)
        bytes.insert(contentsOf: Array(bytes[from..<min(bytes.count, from + random.below(60))]), at: at)
      }
      if bytes.isEmpty { break }
    }
    check(bytes, "seed \(seed) round \(round): \(String(decoding: bytes, as: UTF8.self))")
  }
}

@Test func randomBytesNeverCrash() {
  var random = SeededRandom(seed: 30)
  for round in 0..<3000 {
    let bytes = (0..<random.below(80)).map { _ in
      random.chance(70) ? spice[random.below(spice.count)] : UInt8(truncatingIfNeeded: random.next())
    }
    check(Array("{\"bucket\":\"b\",\"key\":\"k\",\"value\":\"".utf8) + bytes + Array("\"}".utf8), "round \(round)")
    check(bytes, "round \(round)")
  }
}

@Test(arguments: 0..<4)
func theNestedScannerAgreesWithThePlainOneAboutWhatIsJSON(seed: Int) {
  var random = SeededRandom(seed: UInt64(seed))
  let pieces = [
    "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\n\\\"\\\\\"", "1", "-0.5e3", "00",
    "true",
    "null", "fals", " ", "\n", "\\", "\"versionId\":\"x\"", "\"x\":[]", "{}", "é", "\u{1}", "\\ud800", "\"\\ud800\"",
  ]
  var accepted = 0
  for round in 0..<4000 {
    let text = "{" + (0..<random.below(8)).map { _ in pieces[random.below(pieces.count)] }.joined() + "}"
    let isJSON = parsed(Array(text.utf8)) != nil
    let outcome = decode("{\"bucket\":\"b\",\"key\":\"k\",\"value\":\(JSONValue.string(text).description)}", site: nil)
    // What a value must be beyond JSON (fields once, of the right type) does not matter here.
    let isTaken = outcome.deadLetter.map { [.valueDuplicateField, .valueFieldWrongType].contains($0) } ?? true
    #expect(isTaken == isJSON, "seed \(seed) round \(round): \(text.debugDescription) \(outcome.word)")
    if isJSON { accepted += 1 }
  }
  #expect(accepted > 100)
}
