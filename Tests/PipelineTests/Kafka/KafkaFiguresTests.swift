// The figures out of librdkafka's statistics: from a text in its form, and from texts that are cut anywhere.
import Testing

@testable import Pipeline

private let text = #"""
  { "name": "rdkafka#consumer-1", "type": "consumer", "ts":5016483227792, "replyq":0, "msg_cnt":0, "tx":631, "tx_bytes":168584,
    "rx":631, "rx_bytes":31084, "rxmsgs":70, "simple_cnt":0,
    "brokers": { "127.0.0.1:9092/1": { "name":"127.0.0.1:9092/1", "nodeid":1, "state":"UP", "tx":31, "rxerrs":2, "rtt": { "min":1, "p99": 1847 },
      "toppars":{ "t-0": { "topic":"t", "partition":0 } }, "req": { "Fetch": 12 } },
      "GroupCoordinator": { "state":"UP", "rtt": { "p99": 900 } }, "127.0.0.1:9093/2": { "state":"DOWN", "rtt": { "p99": 3 } } },
    "topics":{ "t": { "topic":"t", "age":9, "batchsize": { "p99": 7 }, "partitions":{
      "0": { "partition":0, "next_offset":42, "fetchq_cnt":3, "fetchq_size":300, "fetch_state":"active", "committed_offset":-1001, "consumer_lag":11 },
      "1": { "partition":1, "next_offset":-1001, "fetchq_cnt":2, "fetchq_size":200, "fetch_state":"none", "consumer_lag":-1 },
      "-1": { "partition":-1, "fetchq_cnt":1000, "consumer_lag":1000 } } } },
    "cgrp": { "state": "up", "rebalance_cnt": 4, "rebalance_reason":"a "quoted" reason" } }
  """#

@Test func theFiguresAreFoundWhereLibrdkafkaPutsThem() {
  let figures = KafkaFigures(statistics: text)
  #expect(figures.requestsSent == 631 && figures.bytesReceived == 31_084 && figures.messagesReceived == 70)
  #expect(figures.prefetchedMessages == 5 && figures.prefetchedBytes == 500 && figures.lag == 11)
  #expect(figures.brokersUp == 2 && figures.roundTripP99Us == 1_847 && figures.rebalances == 4 && figures.nextOffsets == [0: 42])
}

@Test func theRowsAreThoseOfBrokersWithANumberAndOfPartitionsInUse() {
  let rows = KafkaFigures(statistics: text).rows
  #expect(rows.handle == "rdkafka#consumer-1" && rows.type == "consumer" && rows.instance == [0, 0, nil])
  #expect(rows.group == [nil, 4, nil])
  #expect(rows.brokers.map(\.name) == ["127.0.0.1:9092/1"] && rows.brokers[0].nodeId == 1 && rows.brokers[0].state == 0)
  #expect(rows.brokers[0].values.compactMap { $0 } == [31, 2] && rows.brokers[0].roundTrip == [1, nil, nil])
  #expect(rows.partitions.map(\.partition) == [0] && rows.partitions[0].topic == "t")
  #expect(rows.partitions[0].values == [11, 3, 300, 42, nil, nil, nil, nil, nil, nil, nil])
}

@Test func aTextThatIsCutOrDeepEndsAllTheSame() {
  let bytes = Array(text.utf8)
  for end in 0...bytes.count { _ = KafkaFigures(statistics: String(decoding: bytes[..<end], as: UTF8.self)) }
  for piece in ["[", "{", #"{"a":"#, "}", "]", "\"", #""\"#, ",", "1", "{{{", "[[]"] {
    _ = KafkaFigures(statistics: String(repeating: piece, count: 1_000))
  }
}
