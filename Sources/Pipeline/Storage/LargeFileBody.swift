// The bytes of a file larger than a block: several reads in flight, handed out in order. Waits for a block only while it
// holds none itself, so transfers that share the pool cannot block each other.
internal import CLinux
internal import DequeModule
internal import Glibc
internal import Reactor

final class LargeFileBody: ObjectBody {
  private struct Read {
    let request: FileRequest
    let block: Block
    let offset: Int64
    let length: Int
  }

  let info: ObjectInfo
  private let stat: FileStat
  private var file: OpenFile?
  private let files: any FileOperations
  private let pool: BlockPool
  /// For messages.
  private let name: String
  private var reads = Deque<Read>()
  /// Up to here reads were begun.
  private var offset: Int64 = 0

  init(info: ObjectInfo, stat: FileStat, file: OpenFile, files: any FileOperations, pool: BlockPool, name: String) {
    self.info = info
    self.stat = stat
    self.file = file
    self.files = files
    self.pool = pool
    self.name = name
  }

  func close() {
    // Reads in flight keep the file and their blocks until they are answered.
    reads.removeAll()
    file = nil
  }

  var hasBuffer: Bool { !reads.isEmpty || offset == info.size || pool.hasFree }

  func next() async throws(StoreError) -> Block? {
    guard let file else { return nil }
    if reads.isEmpty {
      guard offset < info.size else {
        try await checkUnchanged(file)
        return nil
      }
      begin(await pool.take(), file)
    }
    readAhead(file)
    let read = reads.removeFirst()
    try await finish(read, file)
    // The next reads go on while this block is being written.
    readAhead(file)
    return read.block
  }

  private func readAhead(_ file: OpenFile) {
    while reads.count < FileSource.readAheadMax, offset < info.size, let block = pool.takeIfFree() { begin(block, file) }
  }

  private func begin(_ block: Block, _ file: OpenFile) {
    let length = Int(min(Int64(BlockPool.blockBytes), info.size - offset))
    let request = files.request()
    request.hold(file)
    request.read(file.fd, into: UnsafeMutableRawBufferPointer(rebasing: block.bytes[..<length]), at: offset, keep: block)
    files.begin(request)
    reads.append(Read(request: request, block: block, offset: offset, length: length))
    offset += Int64(length)
  }

  private func finish(_ read: Read, _ file: OpenFile) async throws(StoreError) {
    await files.finished(read.request)
    var value = read.request.value()
    files.recycle(read.request)
    var count = 0
    while true {
      guard value >= 0 else { throw .source(-value, "read", name) }
      // The end of the file before its size: it was cut short meanwhile.
      guard value > 0 else { throw .changed(name) }
      count += Int(value)
      if count == read.length { break }
      let rest = UnsafeMutableRawBufferPointer(rebasing: read.block.bytes[count..<read.length])
      value = await files.read(file.fd, into: rest, at: read.offset + Int64(count), keep: read.block)
    }
    read.block.count = count
  }

  private func checkUnchanged(_ file: OpenFile) async throws(StoreError) {
    switch await files.status(file.fd) {
    case .failure(let failure): throw .source(failure.code, "statx", name)
    case .success(let after):
      guard after.isSameState(as: stat) else { throw .changed(name) }
    }
  }
}
