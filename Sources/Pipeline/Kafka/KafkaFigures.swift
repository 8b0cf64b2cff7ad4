// The few of librdkafka's statistics that metrics show, out of its JSON (STATISTICS.md), in one pass without a document:
// the text is about 1 KB a partition and comes every few seconds, on the reactor.
//
// The text is librdkafka's own, so it is not checked; what cannot be read counts as absent.

public struct KafkaFigures: Hashable, Sendable {
  /// Requests sent, and bytes and messages received, since the start.
  public private(set) var requestsSent: Int64 = 0
  public private(set) var bytesReceived: Int64 = 0
  public private(set) var messagesReceived: Int64 = 0
  /// Fetched and not taken yet.
  public private(set) var prefetchedMessages: Int64 = 0
  public private(set) var prefetchedBytes: Int64 = 0
  /// Entries between the committed offsets and the ends of the partitions owned, as far as known.
  public private(set) var lag: Int64 = 0
  public private(set) var rebalances: Int64 = 0
  public private(set) var brokersUp = 0
  /// Offset that will be fetched next, by partition: behind everything fetched, transaction markers included.
  public private(set) var nextOffsets: [Int32: Int64] = [:]
  /// The slowest broker's 99th percentile, microseconds.
  public private(set) var roundTripP99Us: Int64 = 0

  /// What is shown under Backbeat's names.
  public private(set) var rows = KafkaRows()

  /// Levels of objects inside each other; librdkafka has seven.
  static let depthMax = 16

  public init(statistics text: String) {
    var scan = Scan(bytes: Array(text.utf8))
    scan.run { path, value in
      take(path, value)
      switch value {
      case .number(let number): rows.take(path, number: number)
      case .text(let text): rows.take(path, text: text)
      }
    }
    rows.finish()
  }

  private enum Value {
    case number(Int64)
    case text(ArraySlice<UInt8>)
  }

  private mutating func take(_ path: [ArraySlice<UInt8>], _ value: Value) {
    switch (value, path.count) {
    case (.number(let number), 1): takeTop(path[0], number)
    case (.number(let number), 2) where path[0] == "cgrp" && path[1] == "rebalance_cnt": rebalances = number
    case (.text(let state), 3) where path[0] == "brokers" && path[2] == "state": brokersUp += state == "UP" ? 1 : 0
    case (.number(let number), 4) where path[0] == "brokers" && path[2] == "rtt" && path[3] == "p99":
      roundTripP99Us = max(roundTripP99Us, number)
    // Partition -1 stands for messages without one.
    case (.number(let number), 5) where path[0] == "topics" && path[2] == "partitions" && path[3] != "-1":
      takePartition(path[3], path[4], number)
    default: break
    }
  }

  private mutating func takeTop(_ name: ArraySlice<UInt8>, _ number: Int64) {
    if name == "tx" { requestsSent = number }
    if name == "rx_bytes" { bytesReceived = number }
    if name == "rxmsgs" { messagesReceived = number }
  }

  /// Negative numbers say that something is not known.
  private mutating func takePartition(_ partition: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>, _ number: Int64) {
    guard number >= 0 else { return }
    if name == "fetchq_cnt" { prefetchedMessages += number }
    if name == "fetchq_size" { prefetchedBytes += number }
    if name == "consumer_lag" { lag += number }
    guard name == "next_offset", let partition = Int32(String(decoding: partition, as: UTF8.self)) else { return }
    nextOffsets[partition] = number
  }

  /// Walks JSON and calls back for each number and text that is a member, with the names that lead to it.
  private struct Scan {
    let bytes: [UInt8]
    private var at = 0
    private var path: [ArraySlice<UInt8>] = []

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func run(_ visit: ([ArraySlice<UInt8>], Value) -> Void) { value(visit) }

    private mutating func value(_ visit: ([ArraySlice<UInt8>], Value) -> Void) {
      skipSpace()
      guard at < bytes.count, path.count < KafkaFigures.depthMax else {
        at = bytes.count
        return
      }
      switch bytes[at] {
      case UInt8(ascii: "{"): object(visit)
      case UInt8(ascii: "["): array(visit)
      case UInt8(ascii: "\""): visit(path, .text(string()))
      default: scalar(visit)
      }
    }

    private mutating func object(_ visit: ([ArraySlice<UInt8>], Value) -> Void) {
      at += 1
      while at < bytes.count {
        skipSpace()
        guard at < bytes.count, bytes[at] != UInt8(ascii: "}") else { break }
        path.append(string())
        skipSpace()
        value(visit)
        path.removeLast()
        skipSpace()
      }
      at += 1
    }

    private mutating func array(_ visit: ([ArraySlice<UInt8>], Value) -> Void) {
      at += 1
      path.append([])
      while at < bytes.count {
        skipSpace()
        guard at < bytes.count, bytes[at] != UInt8(ascii: "]") else { break }
        value(visit)
      }
      path.removeLast()
      at += 1
    }

    /// Names and states hold no escapes; a quote behind a backslash is passed over all the same.
    private mutating func string() -> ArraySlice<UInt8> {
      at += 1
      let start = at
      while at < bytes.count, bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
      let end = min(at, bytes.count)
      at += 1
      return bytes[min(start, end)..<end]
    }

    private mutating func scalar(_ visit: ([ArraySlice<UInt8>], Value) -> Void) {
      let start = at
      while at < bytes.count, !Self.isEnd(bytes[at]) { at += 1 }
      if at == start { at += 1 }
      if let number = Int64(String(decoding: bytes[start..<min(at, bytes.count)], as: UTF8.self)) { visit(path, .number(number)) }
    }

    private static func isEnd(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || byte <= 0x20
    }

    /// Between values only these matter little enough to be passed over: space, commas, colons.
    private mutating func skipSpace() {
      while at < bytes.count, bytes[at] <= 0x20 || bytes[at] == UInt8(ascii: ",") || bytes[at] == UInt8(ascii: ":") { at += 1 }
    }
  }
}

func == (bytes: ArraySlice<UInt8>, text: StaticString) -> Bool {
  bytes.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
}

func != (bytes: ArraySlice<UInt8>, text: StaticString) -> Bool { !(bytes == text) }
