// One message taken from librdkafka, with one owner. It may be handed to a worker and destroyed there.
//
// Sendable although it holds pointers: there is exactly one owner at any time (~Copyable), the message does not change
// after it was taken, and `rd_kafka_message_destroy` may run on any thread (reference counts inside are atomic).
// It keeps its instance alive, so a message outlives its consumer safely. It also keeps the whole fetched batch it
// came in: hold few, and not for ever.
internal import CRdkafka
public import PipelineCore

public struct KafkaMessage: ~Copyable, @unchecked Sendable {  // one owner, atomic counts: see above
  private let raw: UnsafeMutablePointer<rd_kafka_message_t>
  /// Retained; a plain pointer so that ownership can be given away with `release()`.
  private let handle: Unmanaged<KafkaHandle>

  /// - Parameter raw: taken over.
  init(adopting raw: UnsafeMutablePointer<rd_kafka_message_t>, of handle: KafkaHandle) {
    self.raw = raw
    self.handle = Unmanaged.passRetained(handle)
  }

  deinit {
    rd_kafka_message_destroy(raw)
    handle.release()
  }

  /// A message on its way through a queue: copyable as a value, still owned once. Whoever takes it out must turn it back
  /// into a `KafkaMessage`, exactly one time.
  struct Reference: @unchecked Sendable {  // as KafkaMessage itself: one owner at any time
    fileprivate let raw: UnsafeMutablePointer<rd_kafka_message_t>
    fileprivate let handle: Unmanaged<KafkaHandle>
  }

  consuming func release() -> Reference {
    let reference = Reference(raw: raw, handle: handle)
    discard self
    return reference
  }

  init(_ reference: Reference) {
    raw = reference.raw
    handle = reference.handle
  }

  public var partition: Partition { Partition(raw.pointee.partition) }
  public var offset: Offset { Offset(raw.pointee.offset) }
  public var topic: String { rd_kafka_topic_name(raw.pointee.rkt).map { String(cString: $0) } ?? "" }

  /// Unix milliseconds, of the producer or of the broker as the topic is configured; nil for formats before 0.10.
  public var timestampMs: Int64? {
    var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let time = rd_kafka_message_timestamp(raw, &kind)
    return kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? nil : time
  }

  public var hasPayload: Bool { raw.pointee.payload != nil }
  public var hasKey: Bool { raw.pointee.key != nil }
  public var payloadCount: Int { raw.pointee.len }

  /// The value's bytes, empty if there is none (`hasPayload`). Valid inside `body` only.
  public borrowing func withPayload<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
    try body(bytes(raw.pointee.payload, raw.pointee.len).span)
  }

  /// The key's bytes, empty if there is none (`hasKey`). Valid inside `body` only.
  public borrowing func withKey<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
    try body(bytes(raw.pointee.key, raw.pointee.key_len).span)
  }

  /// The last header of that name, nil if there is none (or it has no value).
  public borrowing func header(_ name: String) -> [UInt8]? {
    var headers: OpaquePointer?
    guard rd_kafka_message_headers(raw, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return nil }
    var value: UnsafeRawPointer?
    var count = 0
    guard rd_kafka_header_get_last(headers, name, &value, &count) == RD_KAFKA_RESP_ERR_NO_ERROR, let value else { return nil }
    return [UInt8](UnsafeRawBufferPointer(start: value, count: count))
  }

  private func bytes(_ start: UnsafeMutableRawPointer?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
    guard let start else { return UnsafeBufferPointer(start: nil, count: 0) }
    return UnsafeBufferPointer(start: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: count)
  }
}
