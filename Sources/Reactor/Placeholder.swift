internal import CLinux
internal import CUring
func f() -> Int32 { epoll_create1(Int32(EPOLL_CLOEXEC)) }
func g() -> Int64 { db_monotonic_ns() }
func h(_ r: UnsafeMutablePointer<io_uring>) -> Int32 { io_uring_queue_init(8, r, 0) }
