// Signals as events: blocked for the whole process before any thread starts, then read from a signalfd by the reactor.
internal import CLinux
internal import Glibc

public final class SignalSource: EventSource {
  public enum Signal: Int32, CaseIterable, Sendable {
    case hangup = 1
    case interrupt = 2
    case user1 = 10
    case terminate = 15
  }

  private let fd: OwnedFD
  private let receive: (Reactor, Signal) -> Void

  /// Blocks the signals this type delivers, and ignores SIGPIPE (a closed peer is an EPIPE of the write) and SIGXFSZ (a limit
  /// of the size of files is an EFBIG of the write, so it fails one object and not the process).
  /// - Thread: the main one, before any library starts a thread; threads inherit the mask.
  public static func block() {
    var set = mask()
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  public init(reactor: Reactor, _ receive: @escaping (Reactor, Signal) -> Void) throws(Errno) {
    var set = Self.mask()
    let raw = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    guard raw >= 0 else { throw Errno.last("signalfd") }
    fd = OwnedFD(adopting: raw)
    self.receive = receive
    _ = try reactor.register(fd: raw, interest: .read, source: self)
  }

  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    var info = signalfd_siginfo()
    while read(fd.raw, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
      if let signal = Signal(rawValue: Int32(info.ssi_signo)) { receive(reactor, signal) }
    }
  }

  private static func mask() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in Signal.allCases { sigaddset(&set, signal.rawValue) }
    return set
  }
}
