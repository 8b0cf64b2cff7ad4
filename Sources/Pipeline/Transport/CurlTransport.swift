// libcurl's multi interface on a reactor: its sockets are watched by our epoll, its timer is one of ours, and it works only
// inside our calls. No thread but the short-lived ones it starts to resolve a host name.
//
// Invariant: libcurl is never called from inside one of its callbacks. Those only change values and wake tasks; tasks run in
// another phase of the loop.
internal import CCurl
internal import CLinux
internal import Glibc
public import Reactor

public final class CurlTransport: Transport {
  /// Easy handles kept for the next request.
  static let spareHandlesMax = 256

  let reactor: Reactor
  let pool: BlockPool
  let limits: TransportLimits
  private let multi: UnsafeMutableRawPointer
  private var token: SourceToken!
  private var timer: TimerToken?
  private var clock: TimerToken?
  private var sockets: [Int32: CurlSocket] = [:]
  private var exchanges: [UnsafeMutableRawPointer: CurlExchange] = [:]
  private var spares: [UnsafeMutableRawPointer] = []
  private var timerIsDue = false
  private(set) var isClosed = false

  /// - Thread: the reactor's. - Blocking: no.
  public init(reactor: Reactor, pool: BlockPool, limits: TransportLimits = TransportLimits()) {
    reactor.assertCurrent()
    precondition(CurlLibrary.isReady, "libcurl cannot be initialised")
    guard let multi = curl_multi_init() else { preconditionFailure("no memory for libcurl") }
    self.reactor = reactor
    self.pool = pool
    self.limits = limits
    self.multi = multi
    let own = Unmanaged.passUnretained(self).toOpaque()
    _ = db_multi_set_socket(multi, curlSocket, own)
    _ = db_multi_set_timer(multi, curlTimer, own)
    _ = db_multi_set_long(multi, CURLMOPT_MAXCONNECTS, limits.idleConnectionsMax)
    _ = db_multi_set_long(multi, CURLMOPT_PIPELINING, 0)
    token = reactor.register(source: CurlTurn(self))
  }

  deinit { if !isClosed { close() } }

  /// Ends everything; exchanges under way fail. - Thread: the reactor's.
  public func close() {
    guard !isClosed else { return }
    for exchange in Array(exchanges.values) { exchange.cancel() }
    isClosed = true
    for easy in spares { curl_easy_cleanup(easy) }
    spares.removeAll()
    // Closes the idle connections, which tells of their sockets once more.
    curl_multi_cleanup(multi)
    for socket in sockets.values { socket.unwatch(reactor) }
    sockets.removeAll()
    if let timer { reactor.cancel(timer) }
    if let clock { reactor.cancel(clock) }
    reactor.scheduleClose(token)
  }

  // MARK: Exchanges

  public func begin(_ request: OutgoingRequest) -> any HTTPExchange {
    precondition(!isClosed, "a request after the end")
    if let error = request.impossible { return RefusedExchange(error) }
    guard let easy = spares.popLast() ?? curl_easy_init() else { preconditionFailure("no memory for libcurl") }
    let exchange = CurlExchange(self, easy, request)
    exchanges[easy] = exchange
    let code = curl_multi_add_handle(multi, easy)
    if code != CURLM_OK { exchange.finish(.failure(TransportError(.impossible, String(cString: curl_multi_strerror(code))))) }
    startClock()
    return exchange
  }

  /// Takes a transfer out of libcurl. One that had not ended loses its connection.
  func remove(_ easy: UnsafeMutableRawPointer) {
    guard exchanges.removeValue(forKey: easy) != nil else { return }
    _ = curl_multi_remove_handle(multi, easy)
    if spares.count < Self.spareHandlesMax {
      curl_easy_reset(easy)
      spares.append(easy)
    } else {
      curl_easy_cleanup(easy)
    }
  }

  private func collect() {
    var result = CURLE_OK
    while let easy = db_multi_next_done(multi, &result) {
      guard let exchange = exchanges[easy] else { continue }
      exchange.finish(result == CURLE_OK ? .success(()) : .failure(exchange.error(result)))
    }
  }

  // MARK: Sockets and timer

  func watch(_ fd: Int32, _ what: Int32) {
    let interest: Interest =
      switch what {
      case CURL_POLL_IN: .read
      case CURL_POLL_OUT: .write
      case CURL_POLL_INOUT: [.read, .write]
      default: []
      }
    guard !interest.isEmpty else {
      // Also for "nothing at present": a hang-up would be reported over and over to somebody who must not act on it.
      sockets.removeValue(forKey: fd)?.unwatch(reactor)
      return
    }
    if let socket = sockets[fd] { return socket.setInterest(interest, reactor) }
    let socket = CurlSocket(fd, self)
    sockets[fd] = socket
    socket.watch(interest, reactor)
  }

  func ready(_ fd: Int32, _ mask: Int32) {
    guard !isClosed else { return }
    var running: Int32 = 0
    _ = curl_multi_socket_action(multi, fd, mask, &running)
    collect()
  }

  func setTimer(_ milliseconds: Int) {
    if let timer { reactor.cancel(timer) }
    timer = nil
    timerIsDue = milliseconds == 0
    if timerIsDue {
      reactor.markReady(token)
    } else if milliseconds > 0 {
      timer = reactor.schedule(after: .milliseconds(milliseconds)) { [weak self] _ in self?.timerFired() }
    }
  }

  private func timerFired() {
    timer = nil
    ready(db_socket_timeout, 0)
  }

  fileprivate func turn() {
    guard timerIsDue else { return }
    timerIsDue = false
    ready(db_socket_timeout, 0)
  }

  // MARK: Stalled transfers

  /// Runs while there is anything to watch.
  private func startClock() {
    guard clock == nil else { return }
    clock = reactor.schedule(after: .seconds(1)) { [weak self] _ in self?.tick() }
  }

  private func tick() {
    clock = nil
    for exchange in Array(exchanges.values) where exchange.isStalled(limits) {
      exchange.finish(.failure(TransportError(.stalled, "\(exchange.peer): no progress for \(limits.stalledSecondsMax) s")))
    }
    if !exchanges.isEmpty { startClock() }
  }
}

/// Gives the transport its turns without keeping it alive.
private final class CurlTurn: EventSource {
  private weak var transport: CurlTransport?
  init(_ transport: CurlTransport) { self.transport = transport }

  func runTurn(_ reactor: Reactor) -> Turn {
    transport?.turn()
    return .idle
  }
}

/// One of libcurl's sockets in our epoll. libcurl opens and closes it; it asks us to forget it before it closes it.
private final class CurlSocket: EventSource {
  private let fd: Int32
  private weak var transport: CurlTransport?
  private var token: SourceToken?

  init(_ fd: Int32, _ transport: CurlTransport) {
    self.fd = fd
    self.transport = transport
  }

  func watch(_ interest: Interest, _ reactor: Reactor) {
    do throws(Errno) {
      token = try reactor.register(fd: fd, interest: interest, source: self)
    } catch {
      // Out of kernel memory for epoll: the transfer stands still and ends as stalled.
      token = nil
    }
  }

  func setInterest(_ interest: Interest, _ reactor: Reactor) {
    guard let token else { return watch(interest, reactor) }
    do throws(Errno) { try reactor.setInterest(interest, for: token) } catch { unwatch(reactor) }
  }

  func unwatch(_ reactor: Reactor) {
    if let token { reactor.scheduleClose(token) }
    token = nil
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    var mask: Int32 = 0
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup]) { mask |= CURL_CSELECT_IN }
    if readiness.contains(.writable) { mask |= CURL_CSELECT_OUT }
    if readiness.contains(.error) { mask |= CURL_CSELECT_ERR }
    transport?.ready(fd, mask)
  }
}

enum CurlLibrary {
  /// Initialised once for the process, by whoever comes first.
  static let isReady = curl_global_init(db_global_all) == CURLE_OK
}
