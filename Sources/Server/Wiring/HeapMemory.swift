// Answers to fetches are blocks of some megabytes that come and go all the time. Left to itself, glibc maps the first of them anew and
// gives it back (a page fault for every 4 KiB: more than all else that is done for an entry of 1.7 kB, by measurement), and later ones
// not, wherever its moving threshold stands by then. So they are kept in the heap, where the next one finds its pages there, as long
// as there is work; and when there has been none for a while, what is free goes back to the system.
internal import CLinux
internal import Glibc

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

  /// On a thread of its own, which ends with it: a millisecond for about 5 MB that are free.
  /// - Blocking: never. Does nothing if there can be no thread.
  static func giveBack() {
    var thread = pthread_t()
    if pthread_create(&thread, nil, trim, nil) == 0 { pthread_detach(thread) }
  }
}

// A named function: a closure literal could inherit an isolation that is checked on entry and wrong on that thread.
private nonisolated func trim(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  _ = pthread_setname_np(pthread_self(), "db-trim")
  _ = malloc_trim(0)
  return nil
}
