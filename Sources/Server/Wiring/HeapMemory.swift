// Answers to fetches are blocks of some megabytes that come and go all the time. Left to itself, glibc maps the first of them anew and
// gives it back (a page fault for every 4 KiB: more than all else that is done for an entry of 1.7 kB, by measurement), and later ones
// not, wherever its moving threshold stands by then. So they are kept in the heap, where the next one finds its pages there, as long
// as there is work; and when there has been none for a while, what is free goes back to the system.
internal import CLinux
internal import Glibc
internal import Pipeline
internal import Reactor

enum HeapMemory {
  /// Bytes from which on a block is mapped by itself; glibc allows no more. None of the answers a consumer asks for.
  private static let mappedMin: Int32 = 32 << 20
  /// Free bytes at the end of one of glibc's heaps (eight for each processor at the most) that are kept while there is work.
  private static let spareMax: Int32 = 32 << 20

  /// - Thread: the main one, before others start. Refused by another allocator, which then has rules of its own.
  static func configure() {
    _ = mallopt(M_MMAP_THRESHOLD, mappedMin)
    _ = mallopt(M_TRIM_THRESHOLD, spareMax)
  }

  /// - Blocking: a millisecond for about 10 MB that are free.
  static func giveBack() { _ = malloc_trim(0) }
}

/// Gives memory back once a node has come to rest.
/// - Thread: T0.
final class IdleMemory {
  /// Between two looks: bursts that follow each other sooner find the memory of the last one.
  static let period = Duration.seconds(60)

  private unowned let node: ReplicationNode
  private let giveBack: () -> Void
  /// Entries taken since the start, at the last look; and when memory was last given back.
  private var seen: UInt64 = 0
  private var settled: UInt64 = 0

  init(node: ReplicationNode, giveBack: @escaping () -> Void = HeapMemory.giveBack) {
    self.node = node
    self.giveBack = giveBack
    watch()
  }

  private func watch() {
    node.reactor.schedule(after: Self.period) { [weak self] _ in
      self?.look()
      self?.watch()
    }
  }

  private func look() {
    let taken = node.locations.reduce(0) { $0 + $1.counters.taken }
    let isResting = taken == seen && node.locations.allSatisfy { $0.inFlightCount == 0 }
    seen = taken
    guard isResting, taken != settled else { return }
    settled = taken
    giveBack()
  }
}
