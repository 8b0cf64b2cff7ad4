// librdkafka's broker threads fetch as far ahead as the queue's limits let them. Where processors are short they take the time of
// the threads that work off what is there already: entries wait in memory, cold, and each page for them is a new one. So a
// consumer's broker threads are nicer than the rest of the process (measured, one core, a million 300-byte entries: an eighth
// less CPU time and 75 MB resident instead of 190).
internal import CLinux
internal import CRdkafka
internal import Glibc

enum FetchThreads {
  /// Added to the process's own niceness: a third of the share of a thread without it.
  static let niceness: Int32 = 5
  /// Of the interceptors, for librdkafka's log.
  fileprivate static let name = "downbeat"

  /// To be called before the instance is made: its threads start in there.
  static func install(in conf: borrowing KafkaConf) {
    // Refused only if it was added before.
    _ = rd_kafka_conf_interceptor_add_on_new(conf.raw, name, onNew, nil)
  }
}

// Named functions: a closure literal could inherit an isolation that is checked on entry and wrong on these threads.
private nonisolated func onNew(
  _ handle: OpaquePointer?, _: OpaquePointer?, _: UnsafeMutableRawPointer?, _: UnsafeMutablePointer<CChar>?, _: Int
) -> rd_kafka_resp_err_t {
  rd_kafka_interceptor_add_on_thread_start(handle, FetchThreads.name, onThreadStart, nil)
}

/// On the new thread, and for it alone: Linux counts niceness by thread (nice(2), "C library/kernel differences").
private nonisolated func onThreadStart(
  _: OpaquePointer?, _ type: rd_kafka_thread_type_t, _: UnsafePointer<CChar>?, _: UnsafeMutableRawPointer?
) -> rd_kafka_resp_err_t {
  // Being nicer is never refused.
  if type == RD_KAFKA_THREAD_BROKER { _ = nice(FetchThreads.niceness) }
  return RD_KAFKA_RESP_ERR_NO_ERROR
}
