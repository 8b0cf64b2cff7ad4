// librdkafka's list of topic, partition and offset, with one owner, and the reading of lists it hands to us.
internal import CRdkafka
internal import PipelineCore

/// One line of a list.
struct PartitionOffset: Sendable {
  var partition: Partition
  /// A position, or one of librdkafka's logical offsets (negative).
  var offset: Int64
  var code: KafkaError.Code
}

struct TopicPartitions: ~Copyable {
  let raw: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
  let topic: String

  init(topic: String, countMax: Int) {
    guard let list = rd_kafka_topic_partition_list_new(Int32(countMax)) else { preconditionFailure("out of memory") }
    raw = list
    self.topic = topic
  }

  init(topic: String, _ partitions: some Collection<Partition>, offset: Int64 = LogicalOffset.none) {
    self.init(topic: topic, countMax: partitions.count)
    for partition in partitions { add(partition, offset: offset) }
  }

  deinit { rd_kafka_topic_partition_list_destroy(raw) }

  func add(_ partition: Partition, offset: Int64) {
    rd_kafka_topic_partition_list_add(raw, topic, partition.value).pointee.offset = offset
  }

  var elements: [PartitionOffset] { Self.read(raw) }

  /// Copies a list of librdkafka, which stays its owner.
  static func read(_ list: UnsafePointer<rd_kafka_topic_partition_list_t>?) -> [PartitionOffset] {
    guard let list else { return [] }
    let elements = UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
    return elements.map {
      PartitionOffset(partition: Partition($0.partition), offset: $0.offset, code: KafkaError.Code($0.err))
    }
  }
}

/// librdkafka's offsets that are no positions. (Its macros do not import.)
enum LogicalOffset {
  static let beginning: Int64 = -2
  static let end: Int64 = -1
  static let stored: Int64 = -1000
  static let none: Int64 = -1001
}
