// A failed system call: its errno and the call (with the path or address when there is one), so that a message
// can always name the thing.
internal import CLinux
internal import Glibc

public struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
  public let code: Int32
  /// The call that failed, and what it was called on: `openat2 /srv/archive/x`.
  public let call: String

  public init(_ code: Int32, _ call: String) {
    self.code = code
    self.call = call
  }

  /// The calling thread's `errno`. Read it before any other call can overwrite it.
  public static func last(_ call: String) -> Errno { Errno(errno, call) }

  /// The C library's text for the code, for example `No space left on device`.
  public var reason: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
      guard strerror_r(code, buffer.baseAddress!, buffer.count) == 0 else { return "error \(code)" }
      return String(cString: buffer.baseAddress!)
    }
  }

  public var description: String { "\(call): \(reason) (errno \(code))" }
}
