// Counts heap allocations by replacing malloc and its family in the program it is linked into (tests and benchmarks only).
// Exact and per thread, unlike the allocator's own statistics; costs one thread-local increment per call.
#ifndef DOWNBEAT_ALLOCATION_COUNTER_H
#define DOWNBEAT_ALLOCATION_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/// Allocations (malloc, calloc, realloc, aligned forms) the calling thread has made so far.
uint64_t allocation_count(void);

/// False where a sanitizer brings an allocator of its own: then nothing is replaced and nothing counted.
bool allocation_counting_works(void);

#endif
