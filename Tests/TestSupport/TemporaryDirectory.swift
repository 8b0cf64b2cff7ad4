// A directory of a test's own, removed with everything in it when the test lets go of it.
internal import CLinux
internal import Glibc

public final class TemporaryDirectory {
  public let path: String

  public init() {
    var template = Array("/tmp/downbeat-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { preconditionFailure("mkdtemp: errno \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { removeTree(path) }
}
