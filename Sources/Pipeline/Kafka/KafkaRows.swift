// The rows of librdkafka's statistics that metrics show under the names Backbeat has from node-rdkafka-prometheus: of the instance,
// of its group, of each broker, of each partition it fetches from or writes to. Rows come as their members do, one after the other.
//
// Deliberately left out: what is not known (librdkafka says a negative number), connections without a node, partitions that nothing
// is done with.

public struct KafkaRows: Hashable, Sendable {
  public static let instanceNames = ["replyq", "msg_cnt", "msg_size"]
  public static let groupNames = ["rebalance_age", "rebalance_cnt", "assignment_size"]
  public static let brokerNames = [
    "tx", "txbytes", "txerrs", "txretries", "req_timeouts", "rx", "rxbytes", "rxerrs", "outbuf_cnt", "waitresp_cnt",
  ]
  /// Microseconds; members of `rtt`.
  public static let roundTripNames = ["min", "avg", "max"]
  public static let partitionNames = [
    "consumer_lag", "fetchq_cnt", "fetchq_size", "next_offset", "app_offset", "committed_offset", "lo_offset", "hi_offset", "txmsgs",
    "txbytes", "msgq_cnt",
  ]
  /// From here on they are a producer's, those before are a consumer's.
  public static let producedFrom = 8

  /// A connection to a broker that has a node's number.
  public struct Broker: Hashable, Sendable {
    public fileprivate(set) var name: String
    public fileprivate(set) var nodeId: Int64 = -1
    /// 0 up, 1 down, -1 anything between.
    public fileprivate(set) var state: Int64 = -1
    /// As `brokerNames`.
    public fileprivate(set) var values = [Int64?](repeating: nil, count: KafkaRows.brokerNames.count)
    /// As `roundTripNames`.
    public fileprivate(set) var roundTrip = [Int64?](repeating: nil, count: KafkaRows.roundTripNames.count)
  }

  public struct TopicPartition: Hashable, Sendable {
    public fileprivate(set) var topic: String
    public fileprivate(set) var partition: UInt64
    /// As `partitionNames`.
    public fileprivate(set) var values = [Int64?](repeating: nil, count: KafkaRows.partitionNames.count)
    fileprivate var isFetched = false
    fileprivate var isWrittenTo = false
  }

  /// Of the instance: `downbeat-node-a#consumer-1`, `consumer`.
  public private(set) var handle = ""
  public private(set) var type = ""
  /// As `instanceNames`.
  public private(set) var instance = [Int64?](repeating: nil, count: KafkaRows.instanceNames.count)
  /// As `groupNames`.
  public private(set) var group = [Int64?](repeating: nil, count: KafkaRows.groupNames.count)
  public private(set) var brokers: [Broker] = []
  public private(set) var partitions: [TopicPartition] = []

  private static let instanceKeys = instanceNames.map { Array($0.utf8) }
  private static let groupKeys = groupNames.map { Array($0.utf8) }
  private static let brokerKeys = brokerNames.map { Array($0.utf8) }
  private static let roundTripKeys = roundTripNames.map { Array($0.utf8) }
  private static let partitionKeys = partitionNames.map { Array($0.utf8) }

  public init() {}

  private static func index(of name: ArraySlice<UInt8>, in keys: [[UInt8]]) -> Int? { keys.firstIndex { name.elementsEqual($0) } }

  /// - Parameter path: names that lead to the member. - Parameter number: negative: not known.
  mutating func take(_ path: [ArraySlice<UInt8>], number: Int64) {
    let value = number < 0 ? nil : number
    switch path.count {
    case 1: if let index = Self.index(of: path[0], in: Self.instanceKeys) { instance[index] = value }
    case 2 where path[0] == "cgrp": if let index = Self.index(of: path[1], in: Self.groupKeys) { group[index] = value }
    case 3 where path[0] == "brokers":
      let row = broker(path[1])
      if path[2] == "nodeid" { brokers[row].nodeId = number }
      if let index = Self.index(of: path[2], in: Self.brokerKeys) { brokers[row].values[index] = value }
    case 4 where path[0] == "brokers" && path[2] == "rtt":
      let row = broker(path[1])
      if let index = Self.index(of: path[3], in: Self.roundTripKeys) { brokers[row].roundTrip[index] = value }
    case 5 where path[0] == "topics" && path[2] == "partitions":
      guard let row = partition(path[1], path[3]), let index = Self.index(of: path[4], in: Self.partitionKeys) else { return }
      partitions[row].values[index] = value
      if path[4] == "txmsgs" || path[4] == "msgq_cnt", number > 0 { partitions[row].isWrittenTo = true }
    default: break
    }
  }

  mutating func take(_ path: [ArraySlice<UInt8>], text: ArraySlice<UInt8>) {
    switch path.count {
    case 1:
      if path[0] == "name" { handle = String(decoding: text, as: UTF8.self) }
      if path[0] == "type" { type = String(decoding: text, as: UTF8.self) }
    case 3 where path[0] == "brokers" && path[2] == "state":
      let row = broker(path[1])
      brokers[row].state = text == "UP" ? 0 : text == "DOWN" ? 1 : -1
    case 5 where path[0] == "topics" && path[2] == "partitions" && path[4] == "fetch_state":
      if let row = partition(path[1], path[3]), text != "none" { partitions[row].isFetched = true }
    default: break
    }
  }

  /// The text has ended.
  mutating func finish() {
    brokers.removeAll { $0.nodeId < 0 }
    partitions.removeAll { !$0.isFetched && !$0.isWrittenTo }
  }

  private mutating func broker(_ name: ArraySlice<UInt8>) -> Int {
    if let last = brokers.last, last.name.utf8.elementsEqual(name) { return brokers.count - 1 }
    brokers.append(Broker(name: String(decoding: name, as: UTF8.self)))
    return brokers.count - 1
  }

  /// - Returns: nil for the one that stands for messages without a partition (-1).
  private mutating func partition(_ topic: ArraySlice<UInt8>, _ number: ArraySlice<UInt8>) -> Int? {
    var partition: UInt64 = 0
    for digit in number {
      guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9"), partition < UInt64(Int32.max) else { return nil }
      partition = partition * 10 + UInt64(digit - UInt8(ascii: "0"))
    }
    if let last = partitions.last, last.partition == partition, last.topic.utf8.elementsEqual(topic) { return partitions.count - 1 }
    let name = partitions.last.flatMap { $0.topic.utf8.elementsEqual(topic) ? $0.topic : nil } ?? String(decoding: topic, as: UTF8.self)
    partitions.append(TopicPartition(topic: name, partition: partition))
    return partitions.count - 1
  }
}
