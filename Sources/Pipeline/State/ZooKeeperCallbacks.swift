// What libzookeeper calls, on its own thread: copy, push into the inbox, return. Nothing here touches the reactor's objects.
//
// Every event carries the generation of the handle it belongs to, so that what a closed handle still says can be told apart.
// Two kinds of context cross C: the handle's, one for its whole life (watchers are called any number of times), and one small
// object for each request, released by its completion.
internal import CZookeeper
internal import Reactor
internal import Synchronization

/// A znode's numbers.
struct ZNodeStat: Hashable, Sendable {
  var createdZxid: Int64
  var createdMs: Int64
  var version: Int64
  var modifiedMs: Int64
  var ephemeralOwner: Int64

  /// What tells this incarnation of the node from every other: when it was made, and the low bits of the transaction that made
  /// it. The transaction alone does not: a server whose data was lost counts from the beginning, and the same small number may
  /// well make the same node again. Exact in a JSON number.
  var incarnation: Int64 { createdMs << 10 | createdZxid & 0x3FF }
}

/// What a request brought.
struct ZooKeeperAnswer: Hashable, Sendable {
  var code: Int32
  var value: [UInt8] = []
  var stat: ZNodeStat?
  var names: [String] = []

  var isOK: Bool { code == 0 }
}

struct ZooKeeperEvent: Sendable {
  enum Kind: Sendable {
    case session(state: Int32, id: Int64)
    /// Something about the node changed; its watch is used up.
    case watch(path: String)
    case answer(id: UInt64, ZooKeeperAnswer)
  }

  let generation: UInt64
  let kind: Kind
}

/// The context of one handle.
final class ZooKeeperContext: Sendable {
  let generation: UInt64
  private let inbox: Inbox<ZooKeeperEvent>
  /// Set when an event had to be dropped: the handle cannot be trusted any more.
  let hasOverflowed = Atomic<Bool>(false)

  init(generation: UInt64, inbox: Inbox<ZooKeeperEvent>) {
    self.generation = generation
    self.inbox = inbox
  }

  /// - Thread: libzookeeper's.
  func push(_ kind: ZooKeeperEvent.Kind) {
    if !inbox.push(ZooKeeperEvent(generation: generation, kind: kind)) { hasOverflowed.store(true, ordering: .relaxed) }
  }
}

/// The context of one request: retained when it is given to C, released by its completion.
final class ZooKeeperRequest: Sendable {
  private let id: UInt64
  private let context: ZooKeeperContext

  init(id: UInt64, context: ZooKeeperContext) {
    self.id = id
    self.context = context
  }

  func answer(_ answer: ZooKeeperAnswer) { context.push(.answer(id: id, answer)) }

  static func take(_ data: UnsafeRawPointer?) -> ZooKeeperRequest {
    Unmanaged<ZooKeeperRequest>.fromOpaque(data!).takeRetainedValue()
  }
}

// MARK: - Trampolines (libzookeeper's completion thread)

nonisolated func zooKeeperWatched(
  _ handle: OpaquePointer?, _ type: Int32, _ state: Int32, _ path: UnsafePointer<CChar>?, _ context: UnsafeMutableRawPointer?
) {
  let context = Unmanaged<ZooKeeperContext>.fromOpaque(context!).takeUnretainedValue()
  if type == ZOO_SESSION_EVENT {
    // Every watcher is told of these; the handle's own is called with an empty path and is the one that counts.
    guard path == nil || path!.pointee == 0 else { return }
    let id = zoo_client_id(handle).map { $0.pointee.client_id } ?? 0
    return context.push(.session(state: state, id: id))
  }
  if let path { context.push(.watch(path: String(cString: path))) }
}

nonisolated func zooKeeperGot(
  _ code: Int32, _ value: UnsafePointer<CChar>?, _ count: Int32, _ stat: UnsafePointer<Stat>?, _ data: UnsafeRawPointer?
) {
  var answer = ZooKeeperAnswer(code: code, stat: stat.map(ZNodeStat.init(copying:)))
  // A count of -1 is a node without a value.
  if let value, count > 0 { answer.value = Array(UnsafeRawBufferPointer(start: value, count: Int(count))) }
  ZooKeeperRequest.take(data).answer(answer)
}

nonisolated func zooKeeperStatted(_ code: Int32, _ stat: UnsafePointer<Stat>?, _ data: UnsafeRawPointer?) {
  ZooKeeperRequest.take(data).answer(ZooKeeperAnswer(code: code, stat: stat.map(ZNodeStat.init(copying:))))
}

nonisolated func zooKeeperNamed(_ code: Int32, _ text: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?) {
  ZooKeeperRequest.take(data).answer(ZooKeeperAnswer(code: code))
}

nonisolated func zooKeeperListed(_ code: Int32, _ list: UnsafePointer<String_vector>?, _ data: UnsafeRawPointer?) {
  var answer = ZooKeeperAnswer(code: code)
  if let list = list?.pointee {
    answer.names = (0..<Int(list.count)).compactMap { list.data[$0].map { String(cString: $0) } }
  }
  ZooKeeperRequest.take(data).answer(answer)
}

nonisolated func zooKeeperDone(_ code: Int32, _ data: UnsafeRawPointer?) {
  ZooKeeperRequest.take(data).answer(ZooKeeperAnswer(code: code))
}

/// The library's own lines ("connection refused", once a second): what they say, our connection states say.
nonisolated func zooKeeperLogged(_ message: UnsafePointer<CChar>?) {}

extension ZNodeStat {
  fileprivate init(copying stat: UnsafePointer<Stat>) {
    let value = stat.pointee
    self.init(
      createdZxid: value.czxid, createdMs: value.ctime, version: Int64(value.version), modifiedMs: value.mtime,
      ephemeralOwner: value.ephemeralOwner)
  }
}
