// The buffers object data passes through: one mapping per worker, cut into blocks that are used again and again, so memory
// stays flat however large or many the objects are. Page-aligned; pages never used cost nothing.
//
// Nobody can deadlock on it as long as a transfer waits for a block only while it holds none: read-ahead beyond the first
// block uses `takeIfFree`, and a destination lets go of its blocks before it lets a body wait (`ObjectBody.hasBuffer`).
internal import CLinux
internal import Glibc

/// One buffer; goes back to the pool with its last reference. - Thread: the pool's.
public final class Block {
  public let bytes: UnsafeMutableRawBufferPointer
  /// Bytes filled, from the start.
  public var count = 0
  private let pool: BlockPool
  private let index: Int

  fileprivate init(pool: BlockPool, index: Int) {
    self.pool = pool
    self.index = index
    bytes = pool.bytes(of: index)
  }

  deinit { pool.giveBack(index) }

  public var filled: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<count]) }

  /// Whether the filled part is zeros only.
  var isZero: Bool {
    let filled = filled
    guard count > 0, filled[0] == 0, let base = filled.baseAddress else { return count == 0 }
    return memcmp(base, base + 1, count - 1) == 0
  }
}

public final class BlockPool {
  /// Bytes of a block. An object up to this size is copied in one read and one write.
  public static let blockBytes = 256 * 1_024
  /// Blocks of a worker: 16 MiB.
  public static let blocksMaxDefault = 64

  public let blocksMax: Int
  private let memory: UnsafeMutableRawBufferPointer
  private var free: [Int]
  /// Taken off `free` already in thought: for waiters that were resumed and have not run yet.
  private var promised = 0
  private var waiters: [UnsafeContinuation<Void, Never>] = []

  public init(blocksMax: Int = blocksMaxDefault) {
    precondition(blocksMax > 0)
    self.blocksMax = blocksMax
    let length = blocksMax * Self.blockBytes
    let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let base, base != MAP_FAILED else { preconditionFailure("no memory for \(blocksMax) blocks") }
    memory = UnsafeMutableRawBufferPointer(start: base, count: length)
    free = Array((0..<blocksMax).reversed())
  }

  deinit { munmap(memory.baseAddress!, memory.count) }

  public var freeCount: Int { free.count }

  /// Waits, first come first served, until a block is free.
  public func take() async -> Block {
    if let block = takeIfFree() { return block }
    // Unsafe in that a lost continuation goes unnoticed; `giveBack` takes each out of `waiters` and resumes it.
    await withUnsafeContinuation { waiter in
      // Asked again: the task may have been queued once more before this body ran.
      if free.count > promised {
        promised += 1
        waiter.resume()
      } else {
        waiters.append(waiter)
      }
    }
    promised -= 1
    return Block(pool: self, index: free.removeLast())
  }

  /// Whether `take` would not wait.
  public var hasFree: Bool { free.count > promised }

  public func takeIfFree() -> Block? {
    guard hasFree else { return nil }
    return Block(pool: self, index: free.removeLast())
  }

  fileprivate func bytes(of index: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: memory[index * Self.blockBytes..<(index + 1) * Self.blockBytes])
  }

  fileprivate func giveBack(_ index: Int) {
    free.append(index)
    guard !waiters.isEmpty else { return }
    promised += 1
    waiters.removeFirst().resume()
  }
}
