// What every exporter says of its own process, under the names Prometheus' client libraries agree on.
internal import CLinux
internal import Glibc

/// - Thread: any. - Blocking: some small files of /proc, tens of microseconds.
struct ProcessFigures {
  private static let fileBytesMax = 4_096
  /// Which field of /proc/self/stat, counted behind the name, is the start in ticks since boot (proc(5), field 22).
  private static let startField = 19

  let userSeconds: Double
  let systemSeconds: Double
  let residentBytes: UInt64
  let virtualBytes: UInt64
  let openFDs: UInt64
  let maxFDs: UInt64

  init() {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    userSeconds = Self.seconds(usage.ru_utime)
    systemSeconds = Self.seconds(usage.ru_stime)
    let pages = Self.words(of: "/proc/self/statm").prefix(2).compactMap { UInt64($0) }
    let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    virtualBytes = (pages.first ?? 0) * pageBytes
    residentBytes = (pages.count == 2 ? pages[1] : 0) * pageBytes
    openFDs = Self.countFDs()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    maxFDs = UInt64(limit.rlim_cur)
  }

  /// When the process was started, Unix seconds.
  static let startSeconds: Double = {
    let text = words(of: "/proc/self/stat", behind: ")")
    let ticks = text.count > startField ? Double(text[startField]) ?? 0 : 0
    var (boot, now) = (timespec(), timespec())
    clock_gettime(CLOCK_BOOTTIME, &boot)
    clock_gettime(CLOCK_REALTIME, &now)
    let age = seconds(boot) - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    return ((seconds(now) - age) * 100).rounded() / 100
  }()

  private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
  private static func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }

  private static func words(of path: String, behind mark: Character? = nil) -> [Substring] {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return [] }
    defer { close(fd) }
    let bytes = [UInt8](unsafeUninitializedCapacity: fileBytesMax) { buffer, count in
      count = max(0, read(fd, buffer.baseAddress, fileBytesMax))
    }
    var text = Substring(String(decoding: bytes, as: UTF8.self))
    if let mark, let end = text.lastIndex(of: mark) { text = text[text.index(after: end)...] }
    return text.split { $0 == " " || $0 == "\n" }
  }

  private static func countFDs() -> UInt64 {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count: UInt64 = 0
    while readdir(directory) != nil { count += 1 }
    // Itself, `.` and `..`.
    return count > 3 ? count - 3 : 0
  }
}
