// One librdkafka instance (`rd_kafka_t`) and the promise that it outlives everything taken from it: the consumer or
// producer and each message hold a reference, the last one to go destroys it. `rd_kafka_destroy` joins the library's
// threads, which may take a second, so it runs on a short-lived thread of its own, never on the reactor or a worker.
internal import CLinux
internal import CRdkafka
internal import Glibc
internal import Synchronization

final class KafkaHandle: Sendable {
  // nonisolated(unsafe): the pointer never changes and librdkafka's functions may be called from any thread.
  nonisolated(unsafe) let raw: OpaquePointer
  /// Kept until the instance is gone: its callbacks point to it.
  private let events: ConsumerEvents?

  /// - Errors: properties that contradict each other, or no resources for the library's threads.
  init(
    _ type: rd_kafka_type_t, conf: consuming KafkaConf, events: ConsumerEvents? = nil, call: String
  ) throws(KafkaError) {
    var text = [CChar](repeating: 0, count: KafkaConf.errorTextBytesMax)
    let confRaw = conf.release()
    guard let handle = rd_kafka_new(type, confRaw, &text, text.count) else {
      let code = rd_kafka_last_error()
      rd_kafka_conf_destroy(confRaw)  // not taken over when the call fails
      throw KafkaError(code, call: call, reason: String(nulTerminated: text))
    }
    raw = handle
    self.events = events
    Self.madeCount.add(1, ordering: .relaxed)
  }

  deinit {
    events?.close()
    KafkaReaper.destroy(raw, keeping: events)
  }

  private static let madeCount = Atomic<Int>(0)
  fileprivate static let destroyedCount = Atomic<Int>(0)

  /// Instances made, and those ended with all their threads, in this process.
  static var census: (made: Int, destroyed: Int) {
    (madeCount.load(ordering: .relaxed), destroyedCount.load(ordering: .acquiring))
  }
}

/// Ends instances, each on a thread of its own, so that none waits for another.
private final class KafkaReaper {
  private let raw: OpaquePointer
  private let events: ConsumerEvents?

  private init(_ raw: OpaquePointer, _ events: ConsumerEvents?) {
    self.raw = raw
    self.events = events
  }

  static func destroy(_ raw: OpaquePointer, keeping events: ConsumerEvents?) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let reaper = Unmanaged.passRetained(KafkaReaper(raw, events)).toOpaque()
    var thread = pthread_t()
    // Out of threads: rather late than leaked.
    if pthread_create(&thread, &attributes, reap, reaper) != 0 { _ = reap(reaper) }
  }

  func run() {
    // The group has been left before (Consumer.close) or there was none to leave.
    rd_kafka_destroy_flags(raw, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    KafkaHandle.destroyedCount.add(1, ordering: .releasing)
  }
}

/// A named function: a closure literal could inherit an isolation that is checked on entry and wrong on this thread.
private nonisolated func reap(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  Unmanaged<KafkaReaper>.fromOpaque(argument!).takeRetainedValue().run()
  return nil
}
