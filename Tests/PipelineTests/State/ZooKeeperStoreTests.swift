import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// The store against a real server.
@Suite(.serialized) struct ZooKeeperStoreTests {
  let reactor: Reactor
  let server: ZooKeeperServer
  let observer = RecordingStoreObserver()
  let key = LocationKey(.crr, "aws-east")

  init() throws {
    reactor = try Reactor()
    server = try ZooKeeperServer()
  }

  private func store(
    _ nodeId: String = "node-a", chroot: String = "", createsChroot: Bool = false, port: Int? = nil, digest: String? = nil,
    sessionDirectory: String? = nil, observer: RecordingStoreObserver? = nil
  ) -> ZooKeeperStore {
    let settings = ZooKeeperSettings(
      connectionString: "127.0.0.1:\(port ?? server.port)\(chroot)", createsChroot: createsChroot, sessionTimeout: .seconds(2),
      digest: digest, sessionDirectory: sessionDirectory)
    let store = ZooKeeperStore(reactor: reactor, settings: settings, nodeId: nodeId)
    store.start(observer: observer ?? self.observer)
    return store
  }

  private func connected(_ store: ZooKeeperStore) -> Bool {
    reactor.runUntil(within: .seconds(20)) { store.connection.isConnected }
  }

  private func create(_ store: ZooKeeperStore, _ json: String) -> Result<StateVersion, StateStoreError>? {
    var found: Result<StateVersion, StateStoreError>?
    store.create(key, json: bytes(json)) { found = $0 }
    #expect(found == nil, "never before the call has returned")
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func replace(_ store: ZooKeeperStore, _ json: String, _ version: StateVersion) -> Result<StateVersion, StateStoreError>? {
    var found: Result<StateVersion, StateStoreError>?
    store.replace(key, json: bytes(json), expecting: version) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func read(_ store: ZooKeeperStore) -> Result<StoredEntry?, StateStoreError>? {
    var found: Result<StoredEntry?, StateStoreError>?
    store.read(key) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func stop(_ stores: ZooKeeperStore...) {
    for store in stores {
      var isStopped = false
      store.stop { isStopped = true }
      #expect(reactor.runUntil { isStopped })
    }
  }

  @Test func createReadReplaceWithParentsMade() throws {
    let store = store()
    #expect(connected(store))
    #expect(read(store) == .success(nil))
    let first = try #require(try create(store, #"{"paused":false}"#)?.get())
    #expect(first.number == 0 && first.epoch > 0)
    #expect(create(store, "{}") == .failure(.alreadyExists))
    let second = try #require(try replace(store, #"{"paused":true}"#, first)?.get())
    #expect(second == StateVersion(epoch: first.epoch, number: 1))
    #expect(replace(store, "{}", first) == .failure(.versionMismatch))
    #expect(read(store) == .success(StoredEntry(json: bytes(#"{"paused":true}"#), version: second)))
    #expect(try server.cli("get", "/backbeat/replication/state/aws-east").contains(#"{"paused":true}"#))
    stop(store)
  }

  @Test func replacingWhatIsNotThereIsRefused() {
    let store = store()
    #expect(connected(store))
    #expect(replace(store, "{}", StateVersion(epoch: 1, number: 0)) == .failure(.notFound))
    stop(store)
  }

  @Test func aWatcherSeesWhatOthersWriteFromTheFirstOn() throws {
    let (watching, writing) = (store("a"), store("b", observer: RecordingStoreObserver()))
    #expect(connected(watching) && connected(writing))
    watching.watch(key)
    #expect(reactor.runUntil { observer.entries[key] == [nil] })
    var version = try #require(try create(writing, "0")?.get())
    for number in 1...20 { version = try #require(try replace(writing, "\(number)", version)?.get()) }
    #expect(reactor.runUntil { observer.lastText(key) == "20" })
    try server.cli("delete", "/backbeat/replication/state/aws-east")
    #expect(reactor.runUntil { observer.entries[key]?.last == .some(nil) })
    _ = create(writing, "again")
    #expect(reactor.runUntil { observer.lastText(key) == "again" })
    let numbers = (observer.entries[key] ?? []).compactMap { $0?.version.number }
    #expect(numbers.filter { $0 > 0 } == numbers.filter { $0 > 0 }.sorted())
    stop(watching, writing)
  }

  @Test func aChrootIsAddedAndMadeOnlyWhenAllowed() throws {
    let strict = store(chroot: "/deep/backbeat")
    #expect(connected(strict))
    guard case .failure(.refused(let why)) = create(strict, "{}") else {
      Issue.record("made a chroot")
      return
    }
    #expect(why.contains("autoCreateNamespace"))
    let lenient = store(chroot: "/deep/backbeat", createsChroot: true, observer: RecordingStoreObserver())
    #expect(connected(lenient))
    #expect(try create(lenient, "{}")?.get() != nil)
    #expect(try server.cli("get", "/deep/backbeat/backbeat/replication/state/aws-east").contains("{}"))
    strict.watch(key)
    #expect(reactor.runUntil { observer.lastText(key) == "{}" })
    stop(strict, lenient)
  }

  @Test func withoutAServerEverythingFailsAtOnce() {
    let store = store(port: 1)
    #expect(read(store) == .failure(.unavailable("not connected")))
    #expect(create(store, "{}") == .failure(.unavailable("not connected")))
    #expect(store.connection == .connecting)
    stop(store)
  }

  // MARK: Faults

  @Test func aRestartedServerIsFoundWithTheSessionAndTheReports() throws {
    let store = store()
    #expect(connected(store))
    _ = create(store, "{}")
    store.watch(key)
    store.publishReport(key, json: bytes("report"))
    #expect(reactor.runUntil { observer.reports[key]?.last?.map(\.nodeId) == ["node-a"] })
    let session = store.connection
    server.stop()
    #expect(reactor.runUntil { store.connection == .lost })
    #expect(read(store) == .failure(.unavailable("not connected")))
    let count = observer.entries[key]?.count ?? 0
    try server.start()
    #expect(connected(store))
    #expect(store.connection == session, "the server remembers it")
    #expect(reactor.runUntil { (observer.entries[key]?.count ?? 0) > count }, "read again after the reconnect")
    let version = try #require(try read(store)?.get()?.version)
    _ = replace(store, "after", version)
    #expect(reactor.runUntil { observer.lastText(key) == "after" })
    store.publishReport(key, json: bytes("later"))
    #expect(
      reactor.runUntil { observer.reports[key]?.last.map { String(decoding: $0.first?.json ?? [], as: UTF8.self) } == "later" })
    stop(store)
  }

  /// The cable is pulled for longer than the session lasts: the server ends it, and the client learns when it comes back.
  @Test func anExpiredSessionIsMadeAnewWithWatchesAndReports() throws {
    let cable = try PullableCable(to: server.port, reactor: reactor)
    let store = store(port: cable.port)
    let other = self.store("other", observer: RecordingStoreObserver())
    #expect(connected(store) && connected(other))
    let version = try #require(try create(store, "before")?.get())
    store.watch(key)
    store.publishReport(key, json: bytes("report"))
    #expect(reactor.runUntil { observer.reports[key]?.last?.count == 1 && observer.lastText(key) == "before" })
    let session = store.connection
    cable.isPulled = true
    #expect(reactor.runUntil { store.connection == .lost })
    let seen = RecordingStoreObserver()
    let third = self.store("third", observer: seen)
    #expect(connected(third))
    third.watch(key)
    #expect(reactor.runUntil(within: .seconds(20)) { seen.reports[key]?.last?.isEmpty == true }, "the ephemeral is gone")
    _ = replace(other, "meanwhile", version)
    cable.isPulled = false
    #expect(connected(store))
    #expect(store.connection != session)
    #expect(reactor.runUntil { observer.lastText(key) == "meanwhile" })
    #expect(reactor.runUntil { seen.reports[key]?.last?.map(\.nodeId) == ["node-a"] })
    _ = replace(other, "afterwards", StateVersion(epoch: version.epoch, number: 1))
    #expect(reactor.runUntil { observer.lastText(key) == "afterwards" })
    #expect(observer.takenKeys.isEmpty)
    stop(store, other, third)
  }

  /// A frozen server answers nothing: the write's outcome is unknown once the connection is given up.
  @Test func aWriteWithoutAnAnswerIsUnknown() throws {
    let store = store()
    #expect(connected(store))
    let version = try #require(try create(store, "{}")?.get())
    server.freeze()
    var found: Result<StateVersion, StateStoreError>?
    store.replace(key, json: bytes("1"), expecting: version) { found = $0 }
    #expect(reactor.runUntil(within: .seconds(20)) { found != nil })
    guard case .failure(.outcomeUnknown) = found else {
      Issue.record("\(String(describing: found))")
      return
    }
    server.signal(SIGCONT)
    #expect(connected(store))
    #expect(try read(store)?.get() != nil)
    stop(store)
  }

  /// Two session time-outs without a connection: a new handle. With the old one alone this would wait for its own retries.
  @Test func longWithoutAServerAHandleIsMadeAnew() throws {
    let store = store()
    #expect(connected(store))
    store.watch(key)
    server.stop()
    let end = Instant.nowUncached() + .seconds(5)
    _ = reactor.runUntil(within: .seconds(6)) { Instant.nowUncached() > end }
    try server.start()
    #expect(connected(store))
    _ = create(store, "{}")
    #expect(reactor.runUntil { observer.lastText(key) == "{}" })
    stop(store)
  }

  @Test func wipedDataIsSeenAsAbsentAndReportsAreMadeAgain() throws {
    let store = store()
    #expect(connected(store))
    let before = try #require(try create(store, "{}")?.get())
    store.watch(key)
    store.publishReport(key, json: bytes("report"))
    #expect(reactor.runUntil { observer.reports[key]?.last?.count == 1 })
    try server.wipe()
    #expect(reactor.runUntil(within: .seconds(20)) { observer.entries[key]?.last == .some(nil) })
    #expect(reactor.runUntil { server.ask("dump")?.contains("nodes/aws-east/node-a") == true })
    let after = try #require(try create(store, "{}")?.get())
    #expect(after.epoch != before.epoch)
    stop(store)
  }

  // MARK: Reports

  @Test func reportsOfAllNodesAreMirroredAndGoWithTheirSessions() throws {
    let others = (0..<3).map { _ in RecordingStoreObserver() }
    let stores = others.enumerated().map { store("node-\($0.offset)", observer: $0.element) }
    for store in stores {
      #expect(connected(store))
      store.watch(key)
      store.publishReport(key, json: bytes("1"))
    }
    #expect(reactor.runUntil { others.allSatisfy { $0.reports[key]?.last?.map(\.nodeId) == ["node-0", "node-1", "node-2"] } })
    for number in 2...30 { stores[1].publishReport(key, json: bytes("\(number)")) }
    #expect(reactor.runUntil { others.allSatisfy { $0.reports[key]?.last?[1].json == bytes("30") } })
    #expect((others[0].reports[key]?.last?[1].writtenAtMs ?? 0) > WallClock.nowMs() - 20_000)
    stores[0].withdrawReport(key)
    #expect(reactor.runUntil { others[2].reports[key]?.last?.map(\.nodeId) == ["node-1", "node-2"] })
    stop(stores[1])
    #expect(reactor.runUntil { others[2].reports[key]?.last?.map(\.nodeId) == ["node-2"] })
    stop(stores[0], stores[2])
  }

  @Test func aSecondLiveNodeOfTheSameNameIsComplainedOf() {
    let first = store("same", observer: RecordingStoreObserver())
    #expect(connected(first))
    first.publishReport(key, json: bytes("first"))
    #expect(reactor.runUntil { server.ask("dump")?.contains("nodes/aws-east/same") == true })
    let second = store("same")
    #expect(connected(second))
    second.watch(key)
    second.publishReport(key, json: bytes("second"))
    #expect(reactor.runUntil { observer.takenKeys == [key] })
    #expect(observer.reports[key]?.last?.first?.json == bytes("first"))
    // The first ends: the second takes its place, without having been asked again.
    stop(first)
    #expect(reactor.runUntil { observer.reports[key]?.last?.first?.json == bytes("second") })
    stop(second)
  }

  /// A process that was killed leaves its report standing until the session expires; its next life takes it over at once.
  @Test func theNextLifeOfAProcessTakesItsReportsOver() throws {
    let directory = TemporaryDirectory()
    let cable = try PullableCable(to: server.port, reactor: reactor)
    let first = store(port: cable.port, sessionDirectory: directory.path, observer: RecordingStoreObserver())
    #expect(connected(first))
    first.publishReport(key, json: bytes("first"))
    #expect(reactor.runUntil { server.ask("dump")?.contains("nodes/aws-east/node-a") == true })
    cable.isPulled = true
    let second = store(sessionDirectory: directory.path)
    #expect(connected(second))
    second.watch(key)
    let start = Instant.nowUncached()
    second.publishReport(key, json: bytes("second"))
    #expect(reactor.runUntil { observer.reports[key]?.last?.first?.json == bytes("second") })
    #expect(Instant.nowUncached() - start < .seconds(1))
    #expect(observer.takenKeys.isEmpty)
    stop(first, second)
  }

  // MARK: Access

  @Test func withADigestOthersMayReadAndNotWrite() throws {
    let owner = store(digest: "downbeat:s3cret")
    let stranger = store("b", observer: RecordingStoreObserver())
    #expect(connected(owner) && connected(stranger))
    let version = try #require(try create(owner, "{}")?.get())
    #expect(read(stranger) == read(owner))
    guard case .failure(.refused) = replace(stranger, "x", version) else {
      Issue.record("a stranger wrote")
      return
    }
    #expect(try replace(owner, "y", version)?.get() != nil)
    stop(owner, stranger)
  }

  // MARK: Ends

  @Test func stoppingAtAnyMomentIsClean() {
    for turns in 0..<12 {
      let store = store("n\(turns)", observer: RecordingStoreObserver())
      store.watch(key)
      store.publishReport(key, json: bytes("x"))
      for _ in 0..<turns { reactor.runOnce(waitMax: .milliseconds(2)) }
      var answered = 0
      store.read(key) { _ in answered += 1 }
      store.create(key, json: bytes("{}")) { _ in answered += 1 }
      stop(store)
      #expect(reactor.runUntil { answered == 2 }, "every operation is answered")
    }
    #expect(
      reactor.runUntil {
        server.ask("dump")?.contains("ephemerals (0)") ?? server.ask("dump")?.contains("nodes/aws-east") == false
      })
  }
}

@Suite struct ZNodeStatTests {
  private func incarnation(zxid: Int64, ms: Int64) -> Int64 {
    ZNodeStat(createdZxid: zxid, createdMs: ms, version: 0, modifiedMs: 0, ephemeralOwner: 0).incarnation
  }

  /// A wiped server makes the same node with the same transaction number again: found when it happened, with a node that took the
  /// new state for an older version of the one it knew, for ever.
  @Test func theSameTransactionNumberAfterAWipeIsAnotherIncarnation() {
    #expect(incarnation(zxid: 8, ms: 1_795_427_446_000) != incarnation(zxid: 8, ms: 1_795_427_450_000))
    #expect(incarnation(zxid: 8, ms: 1_795_427_446_000) != incarnation(zxid: 9, ms: 1_795_427_446_000))
    #expect(incarnation(zxid: .max, ms: 4_102_444_800_000) < 1 << 53, "exact in a JSON number until 2100")
  }
}
