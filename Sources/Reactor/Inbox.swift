// A typed, bounded queue from any thread to one reactor. Elements arrive in batches: the reactor swaps the whole array
// out, and the first push after that is the only one that posts a notice. Nothing is allocated once both arrays have
// grown to the size of the busiest batch.

public final class Inbox<Element: Sendable>: Sendable {
  private struct State {
    var elements: [Element] = []
    /// True exactly from the first push after a swap until the next swap, once attached.
    var isNotified = false
    var target: (mailbox: Mailbox, index: Int)?
  }

  private let state = Lock(State())
  public let countMax: Int

  /// - Parameter countMax: what it holds at the most; a push beyond that is refused.
  public init(countMax: Int) {
    precondition(countMax > 0)
    self.countMax = countMax
    state.withLock { $0.elements.reserveCapacity(min(countMax, 256)) }
  }

  /// - Thread: any. - Blocking: never. - Returns: false if it is full; the element was not taken.
  public func push(_ element: Element) -> Bool {
    let (accepted, notify) = state.withLock { state -> (Bool, (mailbox: Mailbox, index: Int)?) in
      guard state.elements.count < countMax else { return (false, nil) }
      state.elements.append(element)
      return (true, Self.noticeNeeded(&state))
    }
    if let notify { notify.mailbox.postInboxReady(notify.index) }
    return accepted
  }

  /// - Returns: how many of the first elements fitted; the others were not taken.
  public func push(contentsOf batch: [Element]) -> Int {
    let (accepted, notify) = state.withLock { state -> (Int, (mailbox: Mailbox, index: Int)?) in
      let count = min(batch.count, countMax - state.elements.count)
      guard count > 0 else { return (0, nil) }
      state.elements.append(contentsOf: batch[..<count])
      return (count, Self.noticeNeeded(&state))
    }
    if let notify { notify.mailbox.postInboxReady(notify.index) }
    return accepted
  }

  /// Takes the whole batch and leaves an empty array to be filled again: the array itself where nothing was waiting, without a
  /// copy. - Returns: false if not all fitted; what did not is left in `batch`.
  public func push(emptying batch: inout [Element]) -> Bool {
    guard !batch.isEmpty else { return true }
    var given: [Element] = []
    swap(&given, &batch)
    let (left, notify) = state.withLock { [given] state -> ([Element], (mailbox: Mailbox, index: Int)?) in
      if state.elements.isEmpty, given.count <= countMax {
        let spare = state.elements
        state.elements = given
        return (spare, Self.noticeNeeded(&state))
      }
      let count = min(given.count, countMax - state.elements.count)
      guard count > 0 else { return (given, nil) }
      state.elements.append(contentsOf: given[..<count])
      return (Array(given[count...]), Self.noticeNeeded(&state))
    }
    batch = left
    if let notify { notify.mailbox.postInboxReady(notify.index) }
    return batch.isEmpty
  }

  /// Elements waiting; may be stale by the time it is read.
  public var count: Int { state.withLock { $0.elements.count } }

  private static func noticeNeeded(_ state: inout State) -> (mailbox: Mailbox, index: Int)? {
    guard !state.isNotified, let target = state.target else { return nil }
    state.isNotified = true
    return target
  }

  // MARK: Reactor's side

  func attach(to mailbox: Mailbox, index: Int) {
    let isWaiting = state.withLock { state in
      precondition(state.target == nil, "an inbox belongs to one reactor")
      state.target = (mailbox, index)
      state.isNotified = !state.elements.isEmpty
      return state.isNotified
    }
    if isWaiting { mailbox.postInboxReady(index) }
  }

  /// - Returns: the index it was announced under; nil if it was not attached.
  func detach() -> Int? {
    state.withLock { state in
      let index = state.target?.index
      state.target = nil
      state.isNotified = false
      return index
    }
  }

  /// Swaps the waiting elements with the (empty) array given.
  func take(into batch: inout [Element]) {
    assert(batch.isEmpty)
    var spare: [Element] = []
    swap(&spare, &batch)
    batch = state.withLock { [spare] state in
      let elements = state.elements
      state.elements = spare
      state.isNotified = false
      return elements
    }
  }
}

extension Reactor {
  /// Delivers what is pushed into `inbox` to `receive`, on this reactor, in order and in batches.
  /// The receiver may leave the array as it likes; it is emptied afterwards and used again.
  public func attach<Element: Sendable>(
    _ inbox: Inbox<Element>, _ receive: @escaping (Reactor, inout [Element]) -> Void
  ) {
    var batch: [Element] = []
    let index = addInboxReceiver { reactor in
      inbox.take(into: &batch)
      // Announced by an inbox that had this index before.
      guard !batch.isEmpty else { return }
      receive(reactor, &batch)
      batch.removeAll(keepingCapacity: true)
    }
    inbox.attach(to: mailbox, index: index)
  }

  /// Ends the delivery and lets the receiver go. What is waiting stays in the inbox, as what is pushed from now on does.
  public func detach(_ inbox: Inbox<some Sendable>) {
    if let index = inbox.detach() { removeInboxReceiver(index) }
  }
}
