// The eventfd through which librdkafka's queues, and our own blocking calls, wake a reactor. librdkafka writes it when a
// queue goes from empty to not empty and never again until it was served: the reader must remember "may not be empty"
// (Consumer.messagesMayBeQueued), the descriptor tells only of the edge.
internal import CLinux
internal import CRdkafka
internal import Glibc
internal import Reactor

final class QueueSignal: Sendable {
  private let descriptor: OwnedFD

  init() throws(KafkaError) {
    let fd = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard fd >= 0 else {
      throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, call: "eventfd", reason: Errno.last("eventfd").reason)
    }
    descriptor = OwnedFD(adopting: fd)
  }

  var fd: Int32 { descriptor.raw }

  /// - Thread: any.
  func wake() {
    var one: UInt64 = 1
    // EAGAIN: 2^64 wake-ups are waiting already.
    _ = write(descriptor.raw, &one, 8)
  }

  func drain() {
    var count: UInt64 = 0
    _ = read(descriptor.raw, &count, 8)
  }

  /// Makes `queue` write the descriptor when it gets its first element.
  func attach(_ queue: OpaquePointer) {
    var one: UInt64 = 1
    rd_kafka_queue_io_event_enable(queue, descriptor.raw, &one, 8)
  }

  /// After this librdkafka does not touch the descriptor any more (it changes this under the queue's lock).
  func detach(_ queue: OpaquePointer) { rd_kafka_queue_io_event_enable(queue, -1, nil, 0) }
}
