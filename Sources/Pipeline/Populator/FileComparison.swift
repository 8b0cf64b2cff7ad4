// One file of the source beside its copies, block by block.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// Two blocks and a digest, used for every file of a verification, one after the other.
final class ComparisonBuffers {
  static let blockBytes = 262_144
  let source = UnsafeMutableRawBufferPointer.allocate(byteCount: ComparisonBuffers.blockBytes, alignment: 4_096)
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: ComparisonBuffers.blockBytes, alignment: 4_096)

  let md5 = MD5()

  deinit {
    source.deallocate()
    copy.deallocate()
  }
}

final class FileComparison {
  enum Step {
    /// Bytes of the source read, and the copies that turned out different in them (they are left out from now on).
    case more(bytes: Int, different: [(index: Int, why: String)])
    /// The source is at its end; what is left of the copies is the same as far as it goes.
    case finished
    /// The source cannot be read.
    case failed(Errno)
  }

  let file: WalkedFile
  private(set) var offset: Int64 = 0
  private let source: OpenTreeFile
  private var copies: [(index: Int, file: OpenTreeFile, recorded: MD5Digest?)] = []

  init(_ file: WalkedFile, source: OpenTreeFile) {
    self.file = file
    self.source = source
  }

  var indices: [Int] { copies.map(\.index) }
  var copyCount: Int { copies.count }

  /// - Parameter recorded: the digest noted when it was copied; nil: not compared.
  func add(_ index: Int, _ copy: OpenTreeFile, recorded: MD5Digest?) { copies.append((index, copy, recorded)) }

  /// Copies whose noted digest is not that of the bytes just read. Once, at the end.
  func wrongRecords(_ buffers: ComparisonBuffers) -> [Int] {
    let actual = buffers.md5.finish()
    return copies.filter { $0.recorded.map { $0 != actual } ?? false }.map(\.index)
  }

  /// - Blocking: one read on each side.
  func advance(_ buffers: ComparisonBuffers) -> Step {
    // Nobody left to compare with: no need to read on.
    if copies.isEmpty { return .finished }
    let count: Int
    do throws(Errno) { count = try source.read(into: buffers.source, at: offset) } catch { return .failed(error) }
    if count == 0 { return .finished }
    let block = UnsafeRawBufferPointer(rebasing: buffers.source[..<count])
    buffers.md5.add(block)
    let different = copies.compactMap { index, copy, _ in
      difference(copy, block, buffers).map { (index: index, why: $0) }
    }
    copies.removeAll { copy in different.contains { $0.index == copy.index } }
    offset += Int64(count)
    return .more(bytes: count, different: different)
  }

  /// Nil if the copy's bytes at the offset are these.
  private func difference(_ copy: OpenTreeFile, _ block: UnsafeRawBufferPointer, _ buffers: ComparisonBuffers) -> String? {
    let part = UnsafeMutableRawBufferPointer(rebasing: buffers.copy[..<block.count])
    do throws(Errno) {
      let isSame =
        try copy.read(into: part, at: offset) == block.count && memcmp(part.baseAddress!, block.baseAddress!, block.count) == 0
      return isSame ? nil : "other bytes"
    } catch {
      return "\(error)"
    }
  }
}

/// A regular file below a tree's root, open for reading.
final class OpenTreeFile {
  private let fd: OwnedFD
  private let path: String

  init(_ fd: consuming OwnedFD, path: String) {
    self.fd = fd
    self.path = path
  }

  /// Fills the buffer unless the file ends before. - Blocking: yes.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(Errno) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = pread(fd.raw, buffer.baseAddress! + filled, buffer.count - filled, Int(offset) + filled)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Errno.last("read \(PrintableName.of(path))") }
      if count == 0 { break }
      filled += count
    }
    return filled
  }
}
