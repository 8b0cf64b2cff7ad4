// Entries of one location that wait for nothing but a place: whichever worker ends an entry of the location takes the next one from
// here itself, and says so with what it ended. Else each end would be a way to the reactor's thread and back, in which the
// place stands empty, and that thread would wake for each.
//
// Whoever takes an item has it: the reactor, which puts them here, may take them back at any time, and what it does not find has begun.
internal import Reactor

final class Standby: Sendable {
  private let items: Lock<BoundedQueue<WorkItem>>
  let countMax: Int

  init(countMax: Int) {
    self.countMax = countMax
    items = Lock(BoundedQueue(countMax: countMax))
  }

  /// Puts an item behind the others.
  /// - Thread: T0. - Precondition: there is room; it is the location's `waitingMax`, which is kept before an entry comes here.
  func push(_ item: WorkItem) {
    let isTaken = items.withLock { $0.push(item) }
    precondition(isTaken, "more entries ready than may wait")
  }

  /// - Thread: any. - Returns: the first item and how many are left; nil if there is none.
  func take() -> (item: WorkItem, left: Int)? {
    items.withLock { items in
      guard let item = items.pop() else { return nil }
      return (item, items.count)
    }
  }

  /// Takes all back. - Thread: T0.
  func withdraw() -> [WorkItem] {
    items.withLock { items in
      var taken: [WorkItem] = []
      while let item = items.pop() { taken.append(item) }
      return taken
    }
  }
}
