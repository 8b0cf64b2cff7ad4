// Virtual time: events in the order of their time, and of their creation where the times are equal.

struct SimEvent {
  enum Kind: UInt8 {
    // At a node.
    case turn, stateRead, taskEnd, endsTold, retryDue, produced, grant, revokeNotice, lostNotice, commitDue, commitAnswer, commitTimeout,
      commitRetry, drainTimeout, leftGroup, consumerClosed, scheduleDue, rewind, heartbeat
    // At the broker.
    case joinArrives, leaveArrives, commitArrives, produceArrives, rebalanceDeadline, sessionExpires
    // From outside.
    case start, append, operate, thaw, kill, freeze, stop, disconnect, reconnect, outageBegins, outageEnds
  }

  var at: Int64
  var order: Int
  var kind: Kind
  /// Index of the node, -1 where there is none.
  var node: Int
  /// The life of the node it belongs to: an event for an earlier life is dropped. 0 reaches any.
  var life: Int
  var a: Int
  var b: Int
}

/// A binary heap.
struct EventQueue {
  private var heap: [SimEvent] = []
  private var orders = 0

  var isEmpty: Bool { heap.isEmpty }

  mutating func push(_ event: SimEvent) {
    orders += 1
    var event = event
    event.order = orders
    heap.append(event)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.isBefore(event, heap[parent]) else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = event
  }

  mutating func pop() -> SimEvent? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    guard !heap.isEmpty else { return first }
    var parent = 0
    while true {
      var child = parent * 2 + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, Self.isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard Self.isBefore(heap[child], last) else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = last
    return first
  }

  private static func isBefore(_ a: SimEvent, _ b: SimEvent) -> Bool { a.at != b.at ? a.at < b.at : a.order < b.order }
}
