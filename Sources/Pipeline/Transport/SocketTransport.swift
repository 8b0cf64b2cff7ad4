// Plain HTTP/1.1 on sockets of our own, on the worker's reactor: for origins whose addresses are known. It keeps connections for
// the next request, and looks once a second for transfers that stand still.
//
// A connection serves one request at a time, and a request gets one at once: their number is bounded by that of the requests
// under way, which the callers bound. (A bound here could let a copy wait for itself: it reads and writes at the same time.)
// Deliberately not here: TLS, proxies, names to be looked up (CurlTransport), redirects.
internal import CLinux
internal import Glibc
public import Reactor

public final class SocketTransport: Transport, TimerTarget {
  /// Servers end connections that were idle for long, most after a minute or more.
  static let idleMax: Duration = .seconds(30)

  let reactor: Reactor
  let pool: BlockPool
  let limits: TransportLimits
  /// Received into by all connections, one after the other.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: SocketConnection.scratchBytes, alignment: 64)
  /// Those to one origin, the one used last at the end. A class: a change of an array inside a dictionary allocates.
  private final class IdleConnections {
    var list: [SocketConnection] = []
  }

  /// By the origin's URL.
  private var idle: [String: IdleConnections] = [:]
  private(set) var idleCount = 0
  private var exchanges: [SocketExchange] = []
  private var clock: TimerToken?
  private(set) var isClosed = false
  /// Connections made so far.
  private(set) var connectionsMade = 0

  /// - Thread: the reactor's. - Blocking: no.
  public init(reactor: Reactor, pool: BlockPool, limits: TransportLimits = TransportLimits()) {
    reactor.assertCurrent()
    self.reactor = reactor
    self.pool = pool
    self.limits = limits
  }

  deinit { scratch.deallocate() }

  /// Ends everything; exchanges under way fail. - Thread: the reactor's.
  public func close() {
    guard !isClosed else { return }
    for exchange in exchanges { exchange.cancel() }
    isClosed = true
    for there in idle.values { for connection in there.list { connection.close() } }
    idle.removeAll()
    idleCount = 0
    if let clock { reactor.cancel(clock) }
    clock = nil
  }

  // MARK: Exchanges

  /// - Precondition: the request's origin has addresses.
  public func begin(_ request: OutgoingRequest) -> any HTTPExchange {
    precondition(!isClosed, "a request after the end")
    if let error = request.impossible { return RefusedExchange(error) }
    let exchange = SocketExchange(self, request)
    exchange.slot = exchanges.count
    exchanges.append(exchange)
    startClock()
    if !exchange.isStreamed { exchange.start() }
    return exchange
  }

  func remove(_ exchange: SocketExchange) {
    let slot = exchange.slot
    guard slot >= 0 else { return }
    exchange.slot = -1
    let last = exchanges.removeLast()
    guard slot < exchanges.count else { return }
    exchanges[slot] = last
    last.slot = slot
  }

  // MARK: Connections

  /// Gives the exchange an idle connection, or a new one.
  func assign(_ exchange: SocketExchange) {
    if let connection = idle[exchange.origin.url]?.list.popLast() {
      idleCount -= 1
      connection.begin(exchange)
    } else {
      open(exchange, from: 0, after: nil)
    }
  }

  /// Connects to the first address, from an index on, that does not fail at once.
  /// - Parameter after: what became of the one before; told if there is no other.
  func open(_ exchange: SocketExchange, from index: Int, after error: TransportError?) {
    var error = error
    for index in index..<max(index, exchange.origin.addresses.count) {
      do throws(Errno) {
        _ = try SocketConnection(self, exchange, addressIndex: index)
        connectionsMade += 1
        return
      } catch let errno {
        error = TransportError(.unreachable, "\(exchange.origin): \(errno)")
      }
    }
    exchange.finish(.failure(error ?? TransportError(.impossible, "\(exchange.origin): not an address")))
  }

  func giveBack(_ connection: SocketConnection) {
    guard !isClosed, idleCount < limits.idleConnectionsMax else { return connection.close() }
    connection.idleSince = reactor.now
    idleCount += 1
    if let there = idle[connection.origin.url] { return there.list.append(connection) }
    let there = IdleConnections()
    there.list.append(connection)
    idle[connection.origin.url] = there
  }

  /// An idle connection that can serve no more.
  func forget(_ connection: SocketConnection) {
    if let there = idle[connection.origin.url], let index = there.list.firstIndex(where: { $0 === connection }) {
      there.list.remove(at: index)
      idleCount -= 1
    }
    connection.close()
  }

  // MARK: Once a second

  /// Runs while there is anything to watch.
  private func startClock() {
    guard clock == nil, !isClosed else { return }
    clock = reactor.schedule(at: .nowUncached() + .seconds(1), target: self, payload: 0)
  }

  public func timerFired(_ reactor: Reactor, payload: UInt64) {
    clock = nil
    // Finishing takes an exchange out of the list.
    for exchange in exchanges.filter({ $0.isStalled(limits) }) {
      exchange.finish(.failure(TransportError(.stalled, "\(exchange.origin): no progress for \(limits.stalledSecondsMax) s")))
    }
    let oldest = reactor.now.ns - Self.idleMax.nanoseconds
    for (origin, there) in idle {
      let expired = there.list.prefix { $0.idleSince.ns < oldest }
      there.list.removeFirst(expired.count)
      if there.list.isEmpty { idle[origin] = nil }
      idleCount -= expired.count
      for connection in expired { connection.close() }
    }
    if !exchanges.isEmpty || idleCount > 0 { startClock() }
  }
}
