// Where the desired state of every location lives, and where nodes report what they do: ZooKeeper between machines, a
// directory in embedded mode. The coordinator above works the same over both.
//
// Invariant: every completion is called exactly once, on the reactor's thread, never before the call that asked for it has
// returned. An observer is told of a node's state in the order in which the store saw it.
//
// Deliberately knows nothing of pause or resume: entries are bytes with a version, reports are bytes with a node id.
public import PipelineCore

/// Why a store operation did not do what was asked.
public enum StateStoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not sent: the store is not connected. Nothing changed.
  case unavailable(String)
  /// Sent, or perhaps sent, and no answer: it may or may not have happened.
  case outcomeUnknown(String)
  /// Someone else wrote first; the entry is not at the version that was expected.
  case versionMismatch
  /// There is no such entry.
  case notFound
  /// There is one already.
  case alreadyExists
  /// The store refuses (access rights, a full disk): trying the same again will not help by itself.
  case refused(String)

  public var description: String {
    switch self {
    case .unavailable(let why): "state store not reachable: \(why)"
    case .outcomeUnknown(let why): "outcome unknown: \(why)"
    case .versionMismatch: "changed by someone else"
    case .notFound: "no such entry"
    case .alreadyExists: "entry exists already"
    case .refused(let why): "refused by the state store: \(why)"
    }
  }
}

/// How a store stands with its server.
public enum StateStoreConnection: Hashable, Sendable {
  /// Never connected since the start.
  case connecting
  /// Session established; `session` differs after an expiry.
  case connected(session: Int64)
  /// Was connected, is not now. The session may still live on the server.
  case lost
  /// Stopped by its owner.
  case closed

  public var isConnected: Bool {
    if case .connected = self { return true }
    return false
  }
}

/// One live node's report on a location, as stored.
public struct RawNodeReport: Hashable, Sendable {
  public var nodeId: String
  public var json: [UInt8]
  /// When the node last wrote it, by the store's clock (Unix ms).
  public var writtenAtMs: Int64

  public init(nodeId: String, json: [UInt8], writtenAtMs: Int64) {
    self.nodeId = nodeId
    self.json = json
    self.writtenAtMs = writtenAtMs
  }
}

/// The one that is told what a store sees. Called on the reactor's thread, outside of any call into the store.
public protocol StateStoreObserver: AnyObject {
  func stateStore(_ store: any StateStore, connectionBecame connection: StateStoreConnection)
  /// The stored state of a watched location: at first, at every change, and once after each reconnect, by when its watch is
  /// proven again. `nil`: there is no such entry.
  func stateStore(_ store: any StateStore, observed entry: StoredEntry?, of key: LocationKey)
  /// A watched location could not be read although the store is connected (access rights, a broken disk). `refresh` tries again.
  func stateStore(_ store: any StateStore, cannotRead key: LocationKey, because error: StateStoreError)
  /// The reports of all live nodes on a watched location, this node's own among them, sorted by node id.
  func stateStore(_ store: any StateStore, reports: [RawNodeReport], of key: LocationKey)
  /// Another live session reports under this node's id. Told once per episode; the store goes on trying.
  func stateStore(_ store: any StateStore, nodeIdTakenFor key: LocationKey)
}

/// A store of desired states and node reports.
/// - Thread: the reactor it was made on, for every call and every answer.
/// - Blocking: never; slow calls run on the store's own thread.
public protocol StateStore: AnyObject {
  var connection: StateStoreConnection { get }

  /// True exactly while a report could not be written because it belongs to another live session.
  var isNodeIdTaken: Bool { get }

  /// How long after its last sign of life a node's session, and with it its reports, is gone. Zero: at once.
  var sessionTimeout: Duration { get }

  /// Starts connecting. The observer is held weakly.
  func start(observer: any StateStoreObserver)

  /// Ends the session, which removes this node's reports. Open operations complete with an error first.
  func stop(_ completion: @escaping () -> Void)

  /// Follows a location's state and its reports until `unwatch`, across reconnects and sessions.
  func watch(_ key: LocationKey)
  func unwatch(_ key: LocationKey)

  /// Reads again without waiting for the watch; what is found goes to the observer. For wake-ups; may be called at any rate
  /// (a reading that has not been answered is not doubled, one more follows it).
  func refresh(_ key: LocationKey)

  /// Reads the newest committed entry (`sync` + get): after this answer every write acknowledged before the call is seen.
  /// Errors: `unavailable`, `refused`.
  func read(_ key: LocationKey, _ completion: @escaping (Result<StoredEntry?, StateStoreError>) -> Void)

  /// Creates the entry and its parents. Errors: `alreadyExists`, `unavailable`, `outcomeUnknown`, `refused`.
  func create(_ key: LocationKey, json: [UInt8], _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void)

  /// Replaces the entry if it is still at `expected`. Errors: `versionMismatch`, `notFound`, `unavailable`, `outcomeUnknown`,
  /// `refused`.
  func replace(
    _ key: LocationKey, json: [UInt8], expecting expected: StateVersion,
    _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void)

  /// States what this node's report on a location is to be from now on. The store keeps the stored report at the latest value
  /// given, through reconnects and new sessions, until `withdrawReport`.
  func publishReport(_ key: LocationKey, json: [UInt8])
  func withdrawReport(_ key: LocationKey)
}
