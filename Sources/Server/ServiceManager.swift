// Tells systemd how the daemon is doing (sd_notify(3)'s protocol, spoken directly: one datagram a message).
//
// Present only when the unit has `Type=notify`, which sets NOTIFY_SOCKET. A message that cannot be sent is lost: the
// manager's time-outs are made for that, and nothing here may hold the daemon up.

internal import CLinux
internal import Glibc
internal import Reactor

/// The service manager that started this process.
///
/// - Thread: any; it is a value.
struct ServiceManager: Equatable, Sendable {
  private let address: String
  /// How often `ping` must come: half of the unit's WatchdogSec. Nil without a watchdog.
  let pingInterval: Duration?

  /// Nil when the process was not started by a manager that wants to know.
  init?(environment: [String: String], processID: Int32 = getpid()) {
    guard let address = environment["NOTIFY_SOCKET"], address.hasPrefix("/") || address.hasPrefix("@"),
      address.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    else { return nil }
    self.address = address
    let isOurs = environment["WATCHDOG_PID"].map { Int32($0) == processID } ?? true
    let period = isOurs ? environment["WATCHDOG_USEC"].flatMap { Int64($0) } : nil
    pingInterval = period.flatMap { $0 > 0 ? .microseconds($0 / 2) : nil }
  }

  /// Start-up is over: requests are answered, entries are taken.
  func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }

  /// A SIGHUP is being worked on; `ready` ends it.
  func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(Instant.nowUncached().ns / 1000)") }

  /// No more entries are taken; at most so long until the process ends.
  func stopping(within limit: Duration) {
    send("STOPPING=1\nEXTEND_TIMEOUT_USEC=\(limit.nanoseconds / 1000)")
  }

  /// The reactor still turns.
  func ping() { send("WATCHDOG=1") }

  /// One line for `systemctl status`.
  func status(_ text: String) { send("STATUS=\(text)") }

  /// - Blocking: never.
  private func send(_ message: String) {
    let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard raw >= 0 else { return }
    let fd = OwnedFD(adopting: raw)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    var path = Array(address.utf8)
    // `@` stands for the NUL of an abstract name.
    if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let bytes = Array(message.utf8)
    withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        // Lost messages are the manager's to notice.
        _ = sendto(fd.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL), pointer, length)
      }
    }
  }
}
