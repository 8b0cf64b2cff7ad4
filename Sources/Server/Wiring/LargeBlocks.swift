// Fetch responses are blocks of up to some megabytes that come and go. glibc moves its mmap threshold up to the size of the
// first one that is freed, and from then on they live in the heap, between long-lived small ones, which is never given back:
// 122 MB resident after a million entries instead of 38 (perf, scenario memory). A fixed threshold keeps them out of it.
internal import CLinux
internal import Glibc

enum LargeBlocks {
  /// glibc's own first value, bytes. Setting it at all is what ends the adjusting.
  private static let mmapThreshold: Int32 = 128 << 10

  /// - Thread: the main one, before others start. Refused by another allocator, which then has rules of its own.
  static func keepOutOfHeap() { _ = mallopt(M_MMAP_THRESHOLD, mmapThreshold) }
}
