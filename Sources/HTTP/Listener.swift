// A listening socket and its connections. Bounded: at `connectionsMax` the longest idle connection makes room for a
// newcomer, and if none is idle, accepting pauses and newcomers wait in the kernel. Out of descriptors it pauses as well:
// a level-triggered listening socket would otherwise spin. Owns what all its connections share: limits, request ids, date.
internal import CLinux
internal import Glibc
public import Reactor

/// The socket could not be opened; says which address and what to do.
public struct ListenError: Error, Sendable, Hashable, CustomStringConvertible {
  public let address: String
  public let errno: Errno

  public var description: String {
    let hint: String
    switch errno.code {
    case EADDRINUSE: hint = "; another process is listening there, choose another port or end it"
    case EADDRNOTAVAIL: hint = "; no interface of this machine has that address"
    case EACCES: hint = "; ports below 1024 need a privilege"
    default: hint = ""
    }
    return "cannot listen on \(address): \(errno.reason)\(hint)"
  }
}

public final class Listener: EventSource {
  public struct Statistics: Sendable, Equatable {
    public var accepted: UInt64 = 0
    public var requests: UInt64 = 0
    /// Requests answered with what was wrong about their octets.
    public var refused: UInt64 = 0
    public var timedOut: UInt64 = 0
    /// Idle connections closed for a newcomer.
    public var evicted: UInt64 = 0
    /// Times accepting paused: bound reached, or out of descriptors.
    public var acceptPauses: UInt64 = 0
  }

  public let reactor: Reactor
  public let limits: HTTPLimits
  /// Where it listens; the port chosen by the kernel if 0 was asked for.
  public let address: SocketAddress
  public private(set) var statistics = Statistics()
  public private(set) var isDraining = false

  let handler: any RequestHandler
  let times: DeadlinesNs
  private let fd: Int32
  private var token: SourceToken?
  /// Replaced by tests that play a kernel out of descriptors.
  var acceptCall: (Int32) -> ListeningSocket.Accepted = ListeningSocket.accept
  /// Octets of bodies that are still arriving, over all connections.
  var bodyBytesHeld = 0
  private var writer = ResponseWriter()
  private var connections: [Connection] = []
  private var isAccepting = true
  private var drained: ((Reactor) -> Void)?
  private var drainTimer: TimerToken?

  /// Opens the socket and begins to accept.
  /// - Parameter bindAddress: an address literal; `localhost` is 127.0.0.1; `::` takes IPv4 too.
  /// - Parameter port: 0 lets the kernel choose; see `address`.
  public init(
    reactor: Reactor, bindAddress: String, port: UInt16, limits: HTTPLimits = HTTPLimits(), handler: any RequestHandler
  ) throws(ListenError) {
    reactor.assertCurrent()
    guard let literal = IPAddress(bindAddress == "localhost" ? "127.0.0.1" : bindAddress) else {
      throw ListenError(address: bindAddress, errno: Errno(EINVAL, "not an address literal"))
    }
    let wanted = SocketAddress(literal, port: port)
    do throws(Errno) {
      let socket = try ListeningSocket.open(wanted)
      address = try ListeningSocket.localAddress(of: socket.raw)
      fd = socket.release()
    } catch {
      throw ListenError(address: wanted.description, errno: error)
    }
    self.reactor = reactor
    self.limits = limits
    self.handler = handler
    times = DeadlinesNs(limits)
    do throws(Errno) {
      token = try reactor.register(fd: fd, interest: .read, source: self)
    } catch {
      _ = close(fd)
      throw ListenError(address: wanted.description, errno: error)
    }
  }

  public var connectionCount: Int { connections.count }

  // MARK: Accepting

  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    for attempt in 0..<limits.acceptsPerTurnMax {
      if connections.count >= limits.connectionsMax {
        // Somebody is surely waiting only at the first attempt; for the others the kernel calls again.
        if attempt > 0 { return }
        if !evictIdle() { return pauseAccepting() }
      }
      switch acceptCall(fd) {
      case .connection(let socket, let peer): add(socket, peer)
      case .none: return
      case .tryAgain: continue
      case .exhausted: return pauseAccepting()
      }
    }
  }

  private func add(_ socket: Int32, _ peer: SocketAddress) {
    let connection = Connection(listener: self, fd: socket, peer: peer, now: reactor.now)
    do throws(Errno) {
      connection.token = try reactor.register(fd: socket, interest: .read, source: connection)
    } catch {
      _ = close(socket)
      return pauseAccepting()
    }
    statistics.accepted += 1
    connection.index = connections.count
    connections.append(connection)
    connection.updateTimer()
  }

  /// Closes the connection that has been idle longest, if any has been for `evictableIdle`. The list is walked only when
  /// it is full.
  private func evictIdle() -> Bool {
    let newest = Instant(ns: reactor.now.ns - times.evictableIdle)
    var oldest: Connection?
    for connection in connections where connection.isIdle && connection.stateSince <= newest {
      if let best = oldest, best.stateSince <= connection.stateSince { continue }
      oldest = connection
    }
    guard let oldest else { return false }
    statistics.evicted += 1
    remove(oldest)
    oldest.close()
    return true
  }

  /// Stops hearing of newcomers for a while; a connection that closes ends the pause early.
  private func pauseAccepting() {
    guard isAccepting, let token else { return }
    do throws(Errno) { try reactor.setInterest([], for: token) } catch { return }
    isAccepting = false
    statistics.acceptPauses += 1
    reactor.schedule(after: limits.acceptPause) { [weak self] _ in self?.resumeAccepting() }
  }

  private func resumeAccepting() {
    guard !isAccepting, let token else { return }
    do throws(Errno) {
      try reactor.setInterest(.read, for: token)
      isAccepting = true
    } catch {
      reactor.schedule(after: limits.acceptPause) { [weak self] _ in self?.resumeAccepting() }
    }
  }

  // MARK: What the connections share

  func nextRequestID() -> RequestID {
    statistics.requests += 1
    return writer.nextRequestID()
  }

  func write(
    _ response: borrowing Response, id: RequestID, persistence: ResponseWriter.Persistence, isHead: Bool,
    to output: inout OutputBuffer
  ) {
    writer.append(response, id: id, persistence: persistence, isHead: isHead, now: reactor.now, to: &output)
  }

  func countRefused() { statistics.refused += 1 }
  func countTimedOut() { statistics.timedOut += 1 }

  func didClose(_ connection: Connection) {
    remove(connection)
    resumeAccepting()
    finishDrainingIfEmpty()
  }

  private func remove(_ connection: Connection) {
    guard connection.index < connections.count, connections[connection.index] === connection else { return }
    let last = connections.removeLast()
    if last !== connection {
      last.index = connection.index
      connections[connection.index] = last
    }
  }

  // MARK: Ending

  /// Stops accepting, lets answers under way finish (`Connection: close`), cuts what is left after `drainTimeout`.
  /// - Parameter completion: called once, on the reactor, when the last connection is gone.
  public func stop(_ completion: @escaping (Reactor) -> Void) {
    precondition(!isDraining, "stopped twice")
    isDraining = true
    drained = completion
    if let token { reactor.scheduleClose(token) }
    token = nil
    for connection in connections where connection.isIdle { connection.close() }
    drainTimer = reactor.schedule(after: limits.drainTimeout) { [self] _ in
      for connection in connections { connection.close() }
    }
    // Not from within: the caller may not be ready for its own completion yet.
    reactor.schedule(after: .zero) { [self] _ in finishDrainingIfEmpty() }
  }

  private func finishDrainingIfEmpty() {
    guard isDraining, connections.isEmpty, let completion = drained else { return }
    drained = nil
    if let drainTimer { reactor.cancel(drainTimer) }
    completion(reactor)
  }

  public func didClose(_ reactor: Reactor) { _ = close(fd) }
}
