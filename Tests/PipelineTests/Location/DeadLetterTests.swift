// Garbage in the topic: each kind ends in the dead-letter topic with its reason, its key, its value and where it came from;
// nothing else is held up, and everything is committed.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private struct Garbage {
  var name: String
  var key: [UInt8]? = Array("photos/key".utf8)
  var value: [UInt8]?
  var reason: String

  init(_ name: String, _ value: String, _ reason: String, key: String? = "photos/key") {
    self.name = name
    self.value = Array(value.utf8)
    self.reason = reason
    self.key = key.map { Array($0.utf8) }
  }

  init(_ name: String, bytes: [UInt8]?, _ reason: String) {
    self.name = name
    value = bytes
    self.reason = reason
  }
}

private func nested(_ text: String) -> String { JSONValue.string(text).description }
private func around(_ value: String, bucket: String = "\"b\"", key: String = "\"k\"") -> String {
  "{\"type\":\"put\",\"bucket\":\(bucket),\"key\":\(key),\"value\":\(value)}"
}

private let good = nested(#"{"content-length":1,"replicationInfo":{"storageClass":"east","content":["DATA"]}}"#)
private let tenMegabytes = String(repeating: "x", count: 10 << 20)

private let garbage: [Garbage] = [
  Garbage("tombstone", bytes: nil, "cut-json"),
  Garbage("empty", "", "cut-json"),
  Garbage("cut in the value", String(around(good).dropLast(20)), "cut-json"),
  Garbage("cut, no key", #"{"type":"put","bucket":"b","#, "cut-json", key: nil),
  Garbage("text", "hello", "not-an-object"),
  Garbage("array", "[1,2]", "not-an-object"),
  Garbage("two documents", around(good) + around(good), "bad-json"),
  Garbage("a number no JSON has", #"{"a":01}"#, "bad-json"),
  Garbage("ten megabytes", "{\"bucket\":\"b\",\"key\":\"k\",\"x\":\"\(tenMegabytes)\"} and more", "bad-json"),
  Garbage("deep", "{\"a\":" + String(repeating: "[", count: 5_000), "nesting-too-deep"),
  Garbage("tab", "{\"a\":\"\t\"}", "control-character"),
  Garbage("NUL", bytes: Array("{\"bucket\":\"b".utf8) + [0] + Array("\"}".utf8), "control-character"),
  Garbage("lone surrogate", #"{"a":"\ud800"}"#, "bad-escape"),
  Garbage("no UTF-8", bytes: Array("{\"bucket\":\"b".utf8) + [0xC3] + Array("\"}".utf8), "bad-utf8"),
  Garbage("no UTF-8 at all", bytes: [0xFF, 0xFE, 0x00, 0x80], "not-an-object"),
  Garbage("bucket twice", "{\"bucket\":\"b\",\"bucket\":\"c\",\"key\":\"k\",\"value\":\(good)}", "duplicate-field"),
  Garbage("no bucket", "{\"key\":\"k\",\"value\":\(good)}", "bucket-missing"),
  Garbage("bucket number", around(good, bucket: "7"), "bucket-not-text"),
  Garbage("bucket ..", around(good, bucket: "\"..\""), "bucket-refused"),
  Garbage("bucket with NUL", around(good, bucket: "\"a\\u0000b\""), "bucket-refused"),
  Garbage("bucket with a slash", around(good, bucket: "\"../etc\""), "bucket-refused"),
  Garbage("no key inside", "{\"bucket\":\"b\",\"value\":\(good)}", "key-missing"),
  Garbage("key array", around(good, key: "[]"), "key-not-text"),
  Garbage("key empty", around(good, key: "\"\""), "key-empty"),
  Garbage("type number", "{\"type\":7,\"bucket\":\"b\",\"key\":\"k\",\"value\":\(good)}", "type-not-text"),
  Garbage("type unknown", "{\"type\":\"batch\",\"bucket\":\"b\",\"key\":\"k\",\"value\":\(good)}", "type-unknown", key: "other/key"),
  Garbage("no value", #"{"bucket":"b","key":"k"}"#, "value-missing"),
  Garbage("value object", around("{}"), "value-not-text"),
  Garbage("value cut", around(nested(#"{"content-length":1,"a":"b"#)), "value-cut-json"),
  Garbage("value text", around(nested("[]")), "value-not-an-object"),
  Garbage("value no JSON", around(nested("{a:1}")), "value-bad-json"),
  Garbage("value deep", around(nested("{\"a\":" + String(repeating: "[", count: 80))), "value-nesting-too-deep"),
  Garbage("value NUL", around(nested("{\"a\":\"\u{0}\"}")), "value-control-character"),
  Garbage("value escape", around(nested(#"{"a":"\x"}"#)), "value-bad-escape"),
  Garbage("value twice", around(nested(#"{"versionId":"a","versionId":"b"}"#)), "value-duplicate-field"),
  Garbage("value type", around(nested(#"{"replicationInfo":{"storageClass":["s"]}}"#)), "value-field-wrong-type"),
  Garbage("length negative", around(nested(#"{"content-length":-1,"replicationInfo":{"storageClass":"east"}}"#)), "content-length-invalid"),
  Garbage(
    "no length", around(nested(#"{"replicationInfo":{"storageClass":"east","content":["DATA"]}}"#)), "content-length-missing",
    key: nil),
]

@Suite(.serialized) struct DeadLetterTests {
  /// One in a hundred entries is garbage. Both ways of decoding: without a document, and for a task that copies.
  @Test(arguments: [true, false]) func garbageIsSetAsideAndEverythingElseIsDone(isNoop: Bool) throws {
    let gate = Gate()
    let work = isNoop ? WorkerLocation(site: "east", kind: .noop) : gate.work
    let bench = try LocationBench(
      partitions: 4, limits: .init(concurrency: 20, waitingMax: 20),
      user: ["message.max.bytes": "20000000", "receive.message.max.bytes": "100000000", "compression.codec": "gzip"], work: work)
    #expect(garbage.count >= 30)
    let goodCount = garbage.count * 99
    var messages: [(key: [UInt8]?, value: [UInt8]?, partition: Partition?)] = []
    for (index, item) in garbage.enumerated() {
      messages.append((item.key, item.value, Partition(Int32(index % 4))))
      for number in 0..<99 {
        // Neither a missing message key nor one that disagrees matters: the order key is the entry's own.
        let key: [UInt8]? = number == 0 ? nil : number == 1 ? Array("other%2Fname".utf8) : Array("photos%2Fa\(index)-\(number)".utf8)
        messages.append((key, Array(entryText("a\(index)-\(number)").utf8), Partition(Int32((index + number) % 4))))
      }
    }
    for start in stride(from: 0, to: messages.count, by: 500) {
      try bench.produce(Array(messages[start..<min(start + 500, messages.count)]))
    }
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.finished == UInt64(messages.count) }, "\(bench.location.counters)")
    #expect(bench.location.counters.done == UInt64(goodCount), "\(bench.location.counters)")
    #expect(bench.location.counters.deadLettered == UInt64(garbage.count))
    #expect(bench.runUntil { bench.isAllCommitted() })

    let reader = try LetterReader(bench, topic: "dead")
    #expect(bench.runUntil { reader.letters.count == garbage.count })
    for item in garbage { check(item, reader.letters) }
    let places = Set(reader.letters.map { "\($0.headers["partition"] ?? "")/\($0.headers["offset"] ?? "")" })
    #expect(places.count == garbage.count, "each is there once")
    reader.close()
    #expect(bench.runUntil { reader.isClosed })
    bench.end()
  }

  private func check(_ item: Garbage, _ letters: [LetterReader.Letter]) {
    let isLong = (item.value?.count ?? 0) > Outbox.deadLetterValueMax
    let value = isLong ? item.value.map { Array($0.prefix(Outbox.deadLetterValueMax)) } : item.value
    guard let letter = letters.first(where: { $0.value == value && $0.key == item.key }) else {
      Issue.record("\(item.name): no dead letter with its key and value")
      return
    }
    #expect(letter.headers["reason"] == item.reason, "\(item.name)")
    #expect(letter.headers["topic"] == "entries" && Int(letter.headers["timestamp"] ?? "") ?? 0 > 0, "\(item.name): \(letter.headers)")
    #expect(letter.headers["truncated"] == (isLong ? "true" : nil), "\(item.name)")
  }

  /// Kafka's own limit, 1 MiB and 12 bytes, is for value, key, headers and framing together.
  @Test func aBrokerThatTakesLessGetsLess() throws {
    let bench = try LocationBench(
      partitions: 1, user: ["message.max.bytes": "20000000"], work: WorkerLocation(site: "east", kind: .noop))
    let value = Array(String(repeating: "x", count: Outbox.deadLetterValueMax).utf8)
    try bench.produce([(key: nil, value: value, partition: Partition(0))])
    // The first may be for others of its batch, so it says nothing yet.
    bench.broker.failNext(.produce, with: [.messageTooLarge, .messageTooLarge, .messageTooLarge])
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.deadLettered == 1 }, "\(bench.location.counters)")
    #expect(bench.runUntil { bench.isAllCommitted() })
    let reader = try LetterReader(bench, topic: "dead")
    #expect(bench.runUntil { reader.letters.count == 1 })
    let letter = try #require(reader.letters.first)
    #expect(letter.value == Array(value.prefix(value.count / 4)) && letter.headers["truncated"] == "true")
    reader.close()
    #expect(bench.runUntil { reader.isClosed })
    bench.end()
  }
}
