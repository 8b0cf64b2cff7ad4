// A FIFO ring of fixed capacity. When it is full the caller is told and must slow its source down.

public struct BoundedQueue<Element> {
  private var storage: [Element?]
  private var head = 0
  public private(set) var count = 0
  public var countMax: Int { storage.count }
  public var isEmpty: Bool { count == 0 }
  public var isFull: Bool { count == storage.count }

  public init(countMax: Int) {
    precondition(countMax > 0)
    storage = Array(repeating: nil, count: countMax)
  }

  /// - Returns: false if it is full; the element was not taken.
  public mutating func push(_ element: Element) -> Bool {
    guard count < storage.count else { return false }
    storage[(head + count) % storage.count] = element
    count += 1
    return true
  }

  public mutating func pop() -> Element? {
    guard count > 0 else { return nil }
    let element = storage[head]
    storage[head] = nil
    head = (head + 1) % storage.count
    count -= 1
    return element
  }

  public var first: Element? { count > 0 ? storage[head] : nil }
}
