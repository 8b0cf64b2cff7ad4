// Connections, consumers and copies need descriptors: the soft limit (often 1024) is raised to what the system allows.
internal import CLinux
internal import Glibc

enum OpenFileLimit {
  /// Never fails: with fewer descriptors accepting pauses and copies are tried again.
  static func raise() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
