// One librdkafka instance (`rd_kafka_t`) and the promise that it outlives everything taken from it: the consumer or
// producer and each message hold a reference, the last one to go destroys it. `rd_kafka_destroy` joins the library's
// threads, which may take a second, so it runs on a short-lived thread of its own, never on the reactor or a worker.
internal import CLinux
internal import CRdkafka
internal import Glibc
internal import Reactor

final class KafkaHandle: Sendable {
  // nonisolated(unsafe): the pointer never changes and librdkafka's functions may be called from any thread.
  nonisolated(unsafe) let raw: OpaquePointer
  /// Number in the census.
  let id: UInt64
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
    id = Self.census.withLock { $0.add() }
  }

  deinit {
    events?.close()
    KafkaReaper(raw, id, events).start()
  }

  /// Instances of this process whose threads have not all ended yet.
  fileprivate struct Census {
    private var count: UInt64 = 0
    private(set) var living: Set<UInt64> = []

    mutating func add() -> UInt64 {
      count += 1
      living.insert(count)
      return count
    }
    mutating func remove(_ id: UInt64) { living.remove(id) }
  }

  fileprivate static let census = Lock(Census())

  static func isLiving(_ id: UInt64) -> Bool { census.withLock { $0.living.contains(id) } }
}

/// Ends instances, each on a thread of its own, so that none waits for another.
private final class KafkaReaper {
  private let raw: OpaquePointer
  private let id: UInt64
  private let events: ConsumerEvents?

  init(_ raw: OpaquePointer, _ id: UInt64, _ events: ConsumerEvents?) {
    self.raw = raw
    self.id = id
    self.events = events
  }

  func start() {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let reaper = Unmanaged.passRetained(self).toOpaque()
    var thread = pthread_t()
    // Out of threads: rather late than leaked.
    if pthread_create(&thread, &attributes, reap, reaper) != 0 { _ = reap(reaper) }
  }

  func run() {
    // The group has been left before (Consumer.close) or there was none to leave.
    rd_kafka_destroy_flags(raw, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
    KafkaHandle.census.withLock { $0.remove(id) }
  }
}

/// A named function: a closure literal could inherit an isolation that is checked on entry and wrong on this thread.
private nonisolated func reap(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  Unmanaged<KafkaReaper>.fromOpaque(argument!).takeRetainedValue().run()
  return nil
}
