// How far the copies of this node are, object by object: those that run, and the last that ended. For a node without Redis, which has
// nobody else to ask; it knows nothing of other nodes, and what it has forgotten the source's status or the copy itself tells.
//
// - Thread: written by the workers, read by anybody, under locks that are held for a few instructions.
internal import DequeModule
public import Reactor

/// Is told of every copy of data that begins on this node.
public protocol TransferWatcher: Sendable {
  /// - Thread: a worker's. - Returns: who wants to hear how it goes on.
  func begin(_ request: ObjectRequest) -> any TransferProgress
}

public final class TransferBoard: TransferWatcher {
  /// Copies that have ended and are still known; the oldest are forgotten. Those that run are bounded by the tasks there can be.
  public static let endedMax = 4_096

  struct Name: Hashable, Sendable {
    let site: String
    let version: FailedVersion
  }

  private struct State {
    var transfers: [Name: BoardTransfer] = [:]
    /// Oldest first; one that was copied again since stands here twice.
    var ended: Deque<BoardTransfer> = []

    /// Unless another one of the same object has taken its place.
    mutating func forget(_ transfer: BoardTransfer) {
      if transfers[transfer.name] === transfer { transfers[transfer.name] = nil }
    }
  }

  private let state = Lock(State())

  public init() {}

  public func begin(_ request: ObjectRequest) -> any TransferProgress {
    let transfer = BoardTransfer(Name(site: request.site, version: FailedVersion(request)), on: self)
    state.withLock { $0.transfers[transfer.name] = transfer }
    return transfer
  }

  /// - Parameter version: its id empty where the source has no versions.
  /// - Returns: nil for what does not run and has not ended lately.
  public func figures(of version: FailedVersion, at site: String, nowMs: Int64 = WallClock.nowMs()) -> ObjectFigures? {
    let transfer = state.withLock { $0.transfers[Name(site: site, version: version)] }
    return transfer?.figures(nowMs: nowMs)
  }

  /// Copies known, running or ended.
  var count: Int { state.withLock { $0.transfers.count } }

  fileprivate func ended(_ transfer: BoardTransfer, isKept: Bool) {
    state.withLock { state in
      guard isKept else { return state.forget(transfer) }
      state.ended.append(transfer)
      if state.ended.count > Self.endedMax, let oldest = state.ended.popFirst() { state.forget(oldest) }
    }
  }
}

final class BoardTransfer: TransferProgress, Sendable {
  private struct State {
    /// nil: the source has not been opened.
    var total: Int64?
    var done: Int64 = 0
    var recent = RecentBytes()
  }

  let name: TransferBoard.Name
  private unowned let board: TransferBoard
  private let state = Lock(State())

  fileprivate init(_ name: TransferBoard.Name, on board: TransferBoard) {
    self.name = name
    self.board = board
  }

  func opened(bytes: Int64) {
    state.withLock { state in
      state.total = bytes
      state.done = 0
    }
  }

  func moved(bytes: Int) {
    let nowMs = WallClock.nowMs()
    state.withLock { state in
      state.done = min(state.total ?? 0, state.done + Int64(bytes))
      state.recent.add(Int64(bytes), atMs: nowMs)
    }
  }

  func ended(isCopied: Bool) {
    let isKept = state.withLock { state -> Bool in
      guard isCopied, let total = state.total else { return false }
      state.done = total
      return true
    }
    board.ended(self, isKept: isKept)
  }

  func figures(nowMs: Int64) -> ObjectFigures? {
    state.withLock { state in
      state.total.map { ObjectFigures(bytesTotal: $0, bytesDone: state.done, bytesRate: state.recent.rate(nowMs: nowMs)) }
    }
  }
}
