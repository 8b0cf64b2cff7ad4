// What a worker knows of a location: how entries for it are carried out. Made on T0, used on every worker.
public import PipelineCore
public import Reactor

/// Carries out entries of one location on one worker.
/// - Thread: one worker's; made there and never leaves it.
public protocol EntryReplicator: AnyObject {
  /// Copies (or deletes) what the entry names, retries included, and makes the outcome durable where it is kept with
  /// the object. Never throws: what cannot be done is a `.failed`.
  /// Ends early with `.abandoned` when its task is cancelled.
  func replicate(_ entry: ReplicationEntry) async -> WorkResult
  /// Tells these of what it reads and writes from now on. Does nothing where nothing is read or written.
  func count(into figures: CopyFigures)
}

extension EntryReplicator {
  public func count(into figures: CopyFigures) {}
}

/// Takes entries for what they report instead of copying what they name: the status processor's part.
/// - Thread: one worker's; made there and never leaves it.
public protocol EntryProcessor: AnyObject {
  /// Never throws; ends early with `.abandoned` when its task is cancelled. Its messages are on the broker before the
  /// entry's offset is committed.
  func process(_ entry: ReplicationEntry, _ report: StatusReport) async -> WorkResult
}

/// Why workers have no ring, as the first of them found out; nil while all have one or need none.
final class PlainCalls: Sendable {
  let reason = Lock<String?>(nil)
}

/// What the replicators of one worker share.
/// - Thread: that worker's.
public final class WorkerContext {
  public let reactor: Reactor
  /// The worker's ring, or plain calls where there is none.
  public private(set) lazy var files: any FileOperations = {
    let made = reactor.makeFileOperations(mode: mode)
    if let reason = made.reason { plainCalls?.reason.withLock { $0 = reason } }
    return made
  }()
  /// Buffers for the bodies of all its copies.
  public private(set) lazy var blocks = BlockPool()
  /// HTTP for stores that are services.
  public var transport: any Transport { http }
  private lazy var http: TransportChoice = {
    hasTransport = true
    return TransportChoice(reactor: reactor, pool: blocks)
  }()
  private var hasTransport = false
  private let mode: FileOperationsMode
  private let plainCalls: PlainCalls?

  public convenience init(reactor: Reactor, mode: FileOperationsMode = .automatic) {
    self.init(reactor: reactor, mode: mode, plainCalls: nil)
  }

  /// - Parameter plainCalls: is told why there is no ring, if there is none.
  init(reactor: Reactor, mode: FileOperationsMode, plainCalls: PlainCalls?) {
    self.reactor = reactor
    self.mode = mode
    self.plainCalls = plainCalls
  }

  /// Frees what the kernel holds. - Blocking: until the last file operation has ended.
  func close() {
    if hasTransport { http.close() }
    files.close()
  }
}

/// The recipe of a location.
public struct WorkerLocation: Sendable {
  public enum Kind: Sendable {
    /// Completes at once, for benchmarks: decoded and routed, then nothing.
    case noop
    /// Makes the replicator, once on each worker.
    case replicator(@Sendable (WorkerContext) throws(WorkerLocationError) -> any EntryReplicator)
    /// Makes the processor of status entries, once on each worker. Takes entries of any site.
    case processor(@Sendable (WorkerContext) throws(WorkerLocationError) -> any EntryProcessor)
  }

  public let site: Site
  public let kind: Kind
  /// Where a replicator's results are published before they count; nil: nowhere (embedded mode keeps them itself).
  public let statusTopic: String?
  /// What became of the entries that its replicators were given.
  public var figures = CopyFigures()

  public init(site: Site, kind: Kind, statusTopic: String? = nil) {
    self.site = site
    self.kind = kind
    self.statusTopic = statusTopic
  }
}

/// A location that cannot be served: its root is missing or not writable, its credentials are refused.
public struct WorkerLocationError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
