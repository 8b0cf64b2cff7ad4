// Heap allocations of a piece of code, for tests that say a hot path makes none.
#if !DEBUG
  internal import AllocationCounter
#endif

/// The heap allocations the calling thread makes inside `body`; nil where a count would say nothing: debug builds (the optimiser
/// removes most boxes and closure contexts) and sanitizer builds (they have an allocator of their own).
/// Let `body` run once before, so that arrays and caches have their size. What it does not see: other threads.
public func allocations(in body: () throws -> Void) rethrows -> Int? {
  #if DEBUG
    try body()
    return nil
  #else
    let before = allocation_count()
    try body()
    return allocation_counting_works() ? Int(allocation_count() - before) : nil
  #endif
}
