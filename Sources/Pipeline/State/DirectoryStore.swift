// The state store of embedded mode: one small file per location, no server. Its promises are those of ZooKeeper's store as far
// as one process can see them: versioned compare-and-set, durable before it answers, watched by whoever asked.
//
// Invariant: only this object writes below its roots (one process per state directory; quickstart's marker and the daemon's lock
// see to that). All file work runs on one thread in the order given, so a compare-and-set cannot be overtaken.
//
// Deliberately without inotify: a file edited by hand is seen at the next read, not at once. Reports of nodes live in memory:
// the one node there is ends with the process.
public import PipelineCore
public import Reactor

public final class DirectoryStore: StateStore {
  /// One process, by the lock of its state directory.
  public var isNodeIdTaken: Bool { false }
  public var sessionTimeout: Duration { .zero }
  public private(set) var connection: StateStoreConnection = .connecting

  private let reactor: Reactor
  private let nodeId: String
  private let root: String
  private let calls: BlockingCalls
  private var roots: [LocationKey: String] = [:]
  private weak var observer: (any StateStoreObserver)?
  private var watched: Set<LocationKey> = []
  private var reports: [LocationKey: RawNodeReport] = [:]
  private var refreshing: [LocationKey: Refresh] = [:]

  /// A reading on its way; `again`: it may have been too early for what was asked since.
  private struct Refresh { var again = false }

  /// - Parameters:
  ///   - root: a directory, made when first written to. A location's file is `<root>/<service>/<location>.state`.
  ///   - nodeId: the one node there is.
  public init(reactor: Reactor, root: String, nodeId: String) {
    self.reactor = reactor
    self.root = root
    self.nodeId = nodeId
    calls = BlockingCalls(reactor: reactor, name: "db-state")
  }

  /// Keeps one location's state elsewhere: quickstart's lives beside the copies, in `<TARGET>/.downbeat/state`.
  /// Call before the location is watched.
  public func setRoot(_ root: String, for key: LocationKey) { roots[key] = root }

  public func start(observer: any StateStoreObserver) {
    self.observer = observer
    become(.connected(session: 1))
  }

  public func stop(_ completion: @escaping () -> Void) {
    connection = .closed
    watched = []
    calls.stop(completion)
  }

  // MARK: Entries

  public func watch(_ key: LocationKey) {
    watched.insert(key)
    refresh(key)
  }

  public func unwatch(_ key: LocationKey) { watched.remove(key) }

  public func refresh(_ key: LocationKey) {
    guard connection.isConnected, watched.contains(key) else { return }
    if refreshing[key] != nil {
      refreshing[key]?.again = true
      return
    }
    refreshing[key] = Refresh()
    read(key) { [weak self] result in
      guard let self else { return }
      let again = refreshing.removeValue(forKey: key)?.again ?? false
      switch result {
      case .success(let entry): tell(entry, of: key)
      case .failure(let error): if watched.contains(key) { observer?.stateStore(self, cannotRead: key, because: error) }
      }
      if again { refresh(key) }
    }
  }

  public func read(_ key: LocationKey, _ completion: @escaping (Result<StoredEntry?, StateStoreError>) -> Void) {
    run(key, completion) { file in
      do throws(Errno) {
        return .success(try file.read()?.entry)
      } catch {
        return .failure(.refused(error.description))
      }
    }
  }

  public func create(_ key: LocationKey, json: [UInt8], _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void) {
    write(key, json: json, completion) { present in
      present == nil ? .success(StateVersion(epoch: WallClock.nowMs(), number: 0)) : .failure(.alreadyExists)
    }
  }

  public func replace(
    _ key: LocationKey, json: [UInt8], expecting expected: StateVersion,
    _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void
  ) {
    write(key, json: json, completion) { present in
      guard let present else { return .failure(.notFound) }
      guard present == expected else { return .failure(.versionMismatch) }
      return .success(StateVersion(epoch: expected.epoch, number: expected.number + 1))
    }
  }

  private func write(
    _ key: LocationKey, json: [UInt8], _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void,
    nextVersion: @escaping @Sendable (StateVersion?) -> Result<StateVersion, StateStoreError>
  ) {
    let finish = { [weak self] (result: Result<StateVersion, StateStoreError>) in
      completion(result)
      if case .success(let version) = result { self?.tell(StoredEntry(json: json, version: version), of: key) }
    }
    run(key, finish) { file in
      do throws(Errno) {
        let outcome = nextVersion(try file.read()?.entry.version)
        guard case .success(let next) = outcome else { return outcome }
        try file.write(StateFile.Content(entry: StoredEntry(json: json, version: next), savedAtMs: WallClock.nowMs()))
        return outcome
      } catch {
        // A failed fsync of the directory leaves the new entry in place without a promise that it stays.
        return .failure(error.call.hasPrefix("fsync") ? .outcomeUnknown(error.description) : .refused(error.description))
      }
    }
  }

  private func run<Value: Sendable>(
    _ key: LocationKey, _ completion: @escaping (Result<Value, StateStoreError>) -> Void,
    _ call: @escaping @Sendable (StateFile) -> Result<Value, StateStoreError>
  ) {
    let refusal: StateStoreError
    if !connection.isConnected {
      refusal = .unavailable("stopped")
    } else if !StatePaths.isSegment(key.location) {
      refusal = .refused("\"\(key.location)\" cannot be a file name")
    } else {
      let file = StateFile(directory: "\(roots[key] ?? root)/\(key.service.rawValue)", name: key.location)
      if calls.run({ call(file) }, then: completion) { return }
      refusal = .unavailable("too many operations are waiting")
    }
    reactor.schedule(after: .zero) { _ in completion(.failure(refusal)) }
  }

  // MARK: Reports

  public func publishReport(_ key: LocationKey, json: [UInt8]) {
    reports[key] = RawNodeReport(nodeId: nodeId, json: json, writtenAtMs: WallClock.nowMs())
    tellReports(of: key)
  }

  public func withdrawReport(_ key: LocationKey) {
    guard reports.removeValue(forKey: key) != nil else { return }
    tellReports(of: key)
  }

  // MARK: Telling

  /// Observers are never called from within a call into the store.
  private func tellReports(of key: LocationKey) {
    reactor.schedule(after: .zero) { [weak self] _ in
      guard let self, watched.contains(key) else { return }
      observer?.stateStore(self, reports: reports[key].map { [$0] } ?? [], of: key)
    }
  }

  private func tell(_ entry: StoredEntry?, of key: LocationKey) {
    guard watched.contains(key) else { return }
    observer?.stateStore(self, observed: entry, of: key)
  }

  private func become(_ connection: StateStoreConnection) {
    self.connection = connection
    reactor.schedule(after: .zero) { [weak self] _ in
      guard let self else { return }
      observer?.stateStore(self, connectionBecame: connection)
    }
  }
}
