import CLinux
import Glibc
import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

@Suite struct DirectoryStoreTests {
  let directory = TemporaryDirectory()
  let observer = RecordingStoreObserver()
  let reactor: Reactor
  let store: DirectoryStore
  let key = LocationKey(.crr, "aws-east")

  init() throws {
    reactor = try Reactor()
    store = DirectoryStore(reactor: reactor, root: directory.path, nodeId: "node-a")
    store.start(observer: observer)
  }

  private func create(_ json: String) -> Result<StateVersion, StateStoreError>? {
    var found: Result<StateVersion, StateStoreError>?
    store.create(key, json: bytes(json)) { found = $0 }
    #expect(found == nil, "never before the call has returned")
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func replace(_ json: String, _ version: StateVersion) -> Result<StateVersion, StateStoreError>? {
    var found: Result<StateVersion, StateStoreError>?
    store.replace(key, json: bytes(json), expecting: version) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func read() -> Result<StoredEntry?, StateStoreError>? {
    var found: Result<StoredEntry?, StateStoreError>?
    store.read(key) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    return found
  }

  @Test func createReadReplace() throws {
    #expect(read() == .success(nil))
    let first = try #require(try create(#"{"paused":false}"#)?.get())
    #expect(read() == .success(StoredEntry(json: bytes(#"{"paused":false}"#), version: first)))
    #expect(create("{}") == .failure(.alreadyExists))
    let second = try #require(try replace(#"{"paused":true}"#, first)?.get())
    #expect(second == StateVersion(epoch: first.epoch, number: 1))
    #expect(replace("{}", first) == .failure(.versionMismatch))
    #expect(read() == .success(StoredEntry(json: bytes(#"{"paused":true}"#), version: second)))
  }

  @Test func replacingWhatIsNotThereIsRefused() {
    #expect(replace("{}", StateVersion(epoch: 1, number: 0)) == .failure(.notFound))
  }

  /// A hundred read-modify-writes on their way at once: of those that expect the same version exactly one wins.
  @Test func ofConcurrentReplacementsOneWins() throws {
    let version = try #require(try create("{}")?.get())
    var won = 0
    var lost = 0
    for number in 0..<100 {
      store.replace(key, json: bytes("{\"n\":\(number)}"), expecting: version) {
        if case .success = $0 { won += 1 } else { lost += 1 }
      }
    }
    #expect(reactor.runUntil { won + lost == 100 })
    #expect(won == 1)
    #expect(read() == .success(StoredEntry(json: bytes("{\"n\":0}"), version: .init(epoch: version.epoch, number: 1))))
  }

  @Test func watcherSeesTheFirstStateAndEveryChange() throws {
    store.watch(key)
    #expect(reactor.runUntil { observer.entries[key]?.count == 1 })
    #expect(observer.entries[key] == [nil])
    let version = try #require(try create("{}")?.get())
    _ = replace(#"{"paused":true}"#, version)
    #expect(reactor.runUntil { observer.entries[key]?.count == 3 })
    #expect(observer.lastText(key) == #"{"paused":true}"#)
    store.unwatch(key)
    _ = replace("{}", StateVersion(epoch: version.epoch, number: 1))
    #expect(observer.entries[key]?.count == 3)
  }

  @Test func stateSurvivesTheStore() throws {
    let version = try #require(try create(#"{"paused":true}"#)?.get())
    var isStopped = false
    store.stop { isStopped = true }
    #expect(reactor.runUntil { isStopped })
    let next = DirectoryStore(reactor: reactor, root: directory.path, nodeId: "node-a")
    next.start(observer: observer)
    next.watch(key)
    #expect(reactor.runUntil { observer.lastText(key) != nil })
    #expect(observer.entries[key]?.last == StoredEntry(json: bytes(#"{"paused":true}"#), version: version))
  }

  @Test func eachLocationCanHaveARootOfItsOwn() throws {
    store.setRoot("\(directory.path)/target/.downbeat/state", for: key)
    _ = create("{}")
    #expect(access("\(directory.path)/target/.downbeat/state/crr/aws-east.state", F_OK) == 0)
  }

  /// Garbage is handed on as it is, at version 0, so that it can be told apart from a state and be replaced on purpose.
  @Test func garbageIsHandedOnAndCanBeReplaced() throws {
    try #require(mkdir("\(directory.path)/crr", 0o755) == 0)
    let fd = open("\(directory.path)/crr/aws-east.state", O_WRONLY | O_CREAT, 0o644)
    _ = write(fd, "\0\0\0\0", 4)
    close(fd)
    let zero = StateVersion(epoch: 0, number: 0)
    #expect(read() == .success(StoredEntry(json: [0, 0, 0, 0], version: zero)))
    #expect(try replace("{}", zero)?.get() == StateVersion(epoch: 0, number: 1))
    #expect(read() == .success(StoredEntry(json: bytes("{}"), version: StateVersion(epoch: 0, number: 1))))
  }

  @Test func whatCannotBeReadIsToldToTheWatcher() throws {
    try #require(mkdir("\(directory.path)/crr", 0o755) == 0)
    try #require(mkdir("\(directory.path)/crr/aws-east.state", 0o755) == 0)
    store.watch(key)
    #expect(reactor.runUntil { observer.failures.count == 1 })
    #expect(observer.failures.first?.description.contains("aws-east.state") == true)
    #expect(observer.entries[key] == nil)
  }

  @Test func aNameThatIsNoFileNameIsRefused() {
    var found: Result<StoredEntry?, StateStoreError>?
    store.read(LocationKey(.crr, "../x")) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    guard case .failure(.refused) = found else {
      Issue.record("\(String(describing: found))")
      return
    }
  }

  @Test func ownReportIsSeenAndGoesAway() {
    store.watch(key)
    store.publishReport(key, json: bytes("{}"))
    #expect(reactor.runUntil { observer.reports[key]?.last?.map(\.nodeId) == ["node-a"] })
    store.withdrawReport(key)
    #expect(reactor.runUntil { observer.reports[key]?.last?.isEmpty == true })
  }

  @Test func aStoppedStoreIsUnavailable() {
    var isStopped = false
    store.stop { isStopped = true }
    #expect(reactor.runUntil { isStopped })
    #expect(read() == .failure(.unavailable("stopped")))
  }
}
