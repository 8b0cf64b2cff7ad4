// A ZooKeeper session on the reactor: made, lost, expired, made anew. Above it are paths, bytes and answers; below it is one
// libzookeeper handle at a time, made and closed on the thread for blocking calls (both look names up or wait for threads).
//
// Invariant: every request is answered exactly once on the reactor: by the server, or with a connection loss when its handle is
// given up. Requests are handed to the library only while connected, so nothing waits in it to be sent at a later time than its
// caller believes.
//
// A handle is given up when its session has expired, when it was refused, when it dropped an event, and when it has been without a
// server for a second. In the last case the next one takes the same session up, but has seen nothing: a server whose data was lost
// refuses whoever has seen more of it than it has, for ever, and the library would go on asking; a handle that has seen nothing is
// told at once that its session is gone. That repeats every two session time-outs (the library looks names up only once).
internal import CLinux
internal import CZookeeper
internal import Glibc
internal import Reactor
internal import Synchronization

final class ZooKeeperClient {
  /// Events on their way from the library. One pause makes a handful.
  static let eventsMax = 65_536
  /// How often the present handle is checked for having dropped an event.
  static let checkPeriod = Duration.seconds(1)

  /// A pointer that the library allows to be used from any thread.
  private struct Handle: @unchecked Sendable {  // libzookeeper_mt locks inside; after `close` nothing uses it
    let pointer: OpaquePointer
  }

  /// One handle with what belongs to it.
  private final class Line {
    let context: ZooKeeperContext
    /// nil while it is being made.
    var handle: Handle?

    init(_ context: ZooKeeperContext) { self.context = context }
  }

  /// Without its server for so long, a handle is given up. Long enough for another member of the ensemble to be tried.
  static let renewAfter = Duration.seconds(1)

  let settings: ZooKeeperSettings
  private let reactor: Reactor
  private let calls: BlockingCalls
  private let access: ZooKeeperAccess
  private let inbox = Inbox<ZooKeeperEvent>(countMax: eventsMax)
  private var lineCount: UInt64 = 0
  private var line: Line
  /// What a session is taken up again with; nil: there is none to take up.
  private var session: clientid_t?
  private var waiting: [UInt64: (ZooKeeperAnswer) -> Void] = [:]
  private var requestCount: UInt64 = 0
  private var reconnect = Reconnect()
  private var random = SystemRandomNumberGenerator()
  private var lostTimer: TimerToken?
  private var checkTimer: TimerToken?

  private(set) var connection: StateStoreConnection = .connecting
  var onConnection: ((StateStoreConnection) -> Void)?
  var onWatch: ((_ path: String) -> Void)?

  init(reactor: Reactor, settings: ZooKeeperSettings) {
    self.reactor = reactor
    self.settings = settings
    calls = BlockingCalls(reactor: reactor, name: "db-zookeeper")
    access = ZooKeeperAccess(isCreatorOnly: settings.digest != nil)
    line = Line(ZooKeeperContext(generation: 0, inbox: inbox))
    reactor.attach(inbox) { [weak self] _, events in
      for event in events { self?.received(event) }
    }
  }

  /// What the server granted; what it is asked for while there is no session.
  var sessionTimeout: Duration {
    guard connection.isConnected, let handle = line.handle else { return settings.sessionTimeout }
    return .milliseconds(zoo_recv_timeout(handle.pointer))
  }

  // MARK: Handles

  func start() {
    openLine()
    check()
  }

  func stop(_ completion: @escaping () -> Void) {
    if let checkTimer { reactor.cancel(checkTimer) }
    dropLine()
    become(.closed)
    calls.stop(completion)
  }

  private func openLine() {
    line = makeLine { [weak self] in self?.retryLater() }
    renew(after: settings.sessionTimeout * 2)
  }

  /// Starts making a handle. - Parameter onFailure: it could not be made (a name that cannot be looked up).
  private func makeLine(_ onFailure: @escaping () -> Void) -> Line {
    lineCount += 1
    let line = Line(ZooKeeperContext(generation: lineCount, inbox: inbox))
    let (context, session) = (line.context, session)
    let (servers, timeoutMs) = (settings.servers, Int32(settings.sessionTimeout.nanoseconds / 1_000_000))
    let accepted = calls.run(
      { Self.makeHandle(servers, timeoutMs, session, context) },
      then: { [weak self] handle in
        guard let self else { return }
        let isWanted = connection != .closed && line === self.line
        guard let handle else { return isWanted ? onFailure() : () }
        line.handle = handle
        guard isWanted else { return close(line) }
        if let digest = settings.digest {
          _ = digest.withCString { zoo_add_auth(handle.pointer, "digest", $0, Int32(strlen($0)), nil, nil) }
        }
      })
    if !accepted { onFailure() }
    return line
  }

  /// - Blocking: looks the servers' names up.
  private static func makeHandle(
    _ servers: String, _ timeoutMs: Int32, _ session: clientid_t?, _ context: ZooKeeperContext
  ) -> Handle? {
    zoo_set_debug_level(ZooLogLevel(rawValue: 0))  // no lines of its own on standard error
    // Released by `close`.
    let owner = Unmanaged.passRetained(context).toOpaque()
    let pointer =
      if var session {
        zookeeper_init2(servers, zooKeeperWatched, timeoutMs, &session, owner, 0, zooKeeperLogged)
      } else {
        zookeeper_init2(servers, zooKeeperWatched, timeoutMs, nil, owner, 0, zooKeeperLogged)
      }
    guard let pointer else {
      Unmanaged<ZooKeeperContext>.fromOpaque(owner).release()
      return nil
    }
    return Handle(pointer: pointer)
  }

  private func retryLater() {
    let failed = line
    let delay = reconnect.failed(at: reactor.now, random: random.next())
    reactor.schedule(after: delay) { [weak self] _ in
      guard let self, line === failed, connection != .closed else { return }
      dropLine()
      openLine()
    }
  }

  /// Lets the handle go; its requests are answered. Its session ends if it is connected, else it is left to its time-out.
  private func dropLine() {
    if let lostTimer { reactor.cancel(lostTimer) }
    lostTimer = nil
    close(line)
    line = Line(ZooKeeperContext(generation: 0, inbox: inbox))
    failWaiting()
  }

  /// One that is still being made is closed when it has been.
  private func close(_ line: Line) {
    guard let handle = line.handle else { return }
    line.handle = nil
    let context = line.context
    _ = calls.run(
      {
        zookeeper_close(handle.pointer)
        // The library's threads have ended: nobody calls with this context any more.
        Unmanaged.passUnretained(context).release()
      }, then: {})
  }

  private func renewLine() {
    dropLine()
    become(.lost)
    openLine()
  }

  /// A handle that has found no server by then makes way for another.
  private func renew(after delay: Duration) {
    if let lostTimer { reactor.cancel(lostTimer) }
    lostTimer = reactor.schedule(after: delay) { [weak self] _ in
      guard let self, !connection.isConnected, connection != .closed else { return }
      renewLine()
    }
  }

  private func check() {
    checkTimer = reactor.schedule(after: Self.checkPeriod) { [weak self] _ in
      guard let self else { return }
      if line.context.hasOverflowed.load(ordering: .relaxed) {
        session = nil  // the handle is connected: closing it ends the session
        renewLine()
      }
      check()
    }
  }

  // MARK: Events

  private func received(_ event: ZooKeeperEvent) {
    guard event.generation == line.context.generation else { return }
    switch event.kind {
    case .session(let state, let id): sessionChanged(state, id)
    case .watch(let path): onWatch?(path)
    case .answer(let id, let answer): waiting.removeValue(forKey: id)?(answer)
    }
  }

  private func sessionChanged(_ state: Int32, _ id: Int64) {
    if state == ZOO_CONNECTED_STATE {
      if let lostTimer { reactor.cancel(lostTimer) }
      lostTimer = nil
      session = line.handle.flatMap { zoo_client_id($0.pointer)?.pointee }
      reconnect.connected(at: reactor.now)
      become(.connected(session: id))
    } else if state == ZOO_EXPIRED_SESSION_STATE {
      session = nil
      renewLine()
    } else if state == ZOO_AUTH_FAILED_STATE {
      session = nil
      dropLine()
      become(.lost)
      retryLater()
    } else if connection.isConnected {
      become(.lost)
      renew(after: Self.renewAfter)
    }
  }

  private func become(_ next: StateStoreConnection) {
    // Never connected stays that: "lost" would say that there was something to lose.
    let told: StateStoreConnection = next == .lost && connection == .connecting ? .connecting : next
    guard told != connection else { return }
    connection = told
    onConnection?(told)
  }

  private func failWaiting() {
    let failed = waiting.sorted { $0.key < $1.key }
    waiting = [:]
    guard !failed.isEmpty else { return }
    reactor.schedule(after: .zero) { _ in
      for (_, answer) in failed { answer(ZooKeeperAnswer(code: ZCONNECTIONLOSS.rawValue)) }
    }
  }

  // MARK: Requests

  func get(_ path: String, watch: Bool, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, owner, data in
      zoo_awget(handle, path, watch ? zooKeeperWatched : nil, watch ? owner : nil, zooKeeperGot, data)
    }
  }

  func exists(_ path: String, watch: Bool, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, owner, data in
      zoo_awexists(handle, path, watch ? zooKeeperWatched : nil, watch ? owner : nil, zooKeeperStatted, data)
    }
  }

  func children(_ path: String, watch: Bool, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, owner, data in
      zoo_awget_children(handle, path, watch ? zooKeeperWatched : nil, watch ? owner : nil, zooKeeperListed, data)
    }
  }

  /// Makes everything read afterwards at least as new as what was committed before.
  func sync(_ path: String, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, _, data in zoo_async(handle, path, zooKeeperNamed, data) }
  }

  /// - Parameter version: nil: whatever it is.
  func set(_ path: String, _ value: [UInt8], version: Int64?, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, _, data in
      value.withCharacters { zoo_aset(handle, path, $0, Int32(value.count), Int32(version ?? -1), zooKeeperStatted, data) }
    }
  }

  func create(_ path: String, _ value: [UInt8], isEphemeral: Bool, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { [access] handle, _, data in
      value.withCharacters {
        zoo_acreate(
          handle, path, $0, Int32(value.count), access.vector, isEphemeral ? ZOO_EPHEMERAL : ZOO_PERSISTENT, zooKeeperNamed, data)
      }
    }
  }

  func delete(_ path: String, version: Int64, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    submit(completion) { handle, _, data in zoo_adelete(handle, path, Int32(version), zooKeeperDone, data) }
  }

  private func submit(
    _ completion: @escaping (ZooKeeperAnswer) -> Void,
    _ request: (_ handle: OpaquePointer, _ owner: UnsafeMutableRawPointer, _ data: UnsafeRawPointer) -> Int32
  ) {
    guard connection.isConnected, let handle = line.handle else {
      reactor.schedule(after: .zero) { _ in completion(ZooKeeperAnswer(code: ZINVALIDSTATE.rawValue)) }
      return
    }
    requestCount += 1
    let id = requestCount
    waiting[id] = completion
    let data = Unmanaged.passRetained(ZooKeeperRequest(id: id, context: line.context))
    let owner = Unmanaged.passUnretained(line.context).toOpaque()
    let code = request(handle.pointer, owner, data.toOpaque())
    guard code != ZOK.rawValue else { return }
    // Not taken: its completion will not come.
    data.release()
    waiting[id] = nil
    reactor.schedule(after: .zero) { _ in completion(ZooKeeperAnswer(code: code)) }
  }
}

/// The access list of what we create, in the library's shape; lives as long as its client.
private final class ZooKeeperAccess {
  private let list: UnsafeMutablePointer<ACL>
  private let texts: [UnsafeMutablePointer<CChar>]
  let vector: UnsafeMutablePointer<ACL_vector>

  init(isCreatorOnly: Bool) {
    texts = ["world", "anyone", "auth", ""].map { (text: String) in strdup(text)! }
    list = .allocate(capacity: 2)
    let world = Id(scheme: texts[0], id: texts[1])
    let creator = Id(scheme: texts[2], id: texts[3])
    list.initialize(to: ACL(perms: isCreatorOnly ? ZOO_PERM_READ : ZOO_PERM_ALL, id: world))
    (list + 1).initialize(to: ACL(perms: ZOO_PERM_ALL, id: creator))
    vector = .allocate(capacity: 1)
    vector.initialize(to: ACL_vector(count: isCreatorOnly ? 2 : 1, data: list))
  }

  deinit {
    vector.deallocate()
    list.deallocate()
    for text in texts { free(text) }
  }
}

extension [UInt8] {
  fileprivate func withCharacters<Value>(_ body: (UnsafePointer<CChar>?) -> Value) -> Value {
    withUnsafeBytes { body($0.baseAddress?.assumingMemoryBound(to: CChar.self)) }
  }
}
