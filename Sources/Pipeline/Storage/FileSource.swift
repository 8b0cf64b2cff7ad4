// A directory tree as the source of objects. Never writes to it.
//
// What is given is what was there at one moment: size and modification time are read before and after the bytes. A file
// whose time is so young that a second change could bear the same time, or that the write which set it may still be at
// work, is left to rest first. An object of one block is read in one request (status, read, status, close); a larger one with
// several blocks in flight.
internal import CLinux
internal import Glibc
public import Reactor

public final class FileSource: ObjectSource {
  /// A change may carry the time of the last clock tick: 10 ms at 100 Hz.
  static let timeGrain: Duration = .milliseconds(10)
  /// The kernel sets the time when a write begins, and one call may write 2 GiB: what one may still be at work on is told by the
  /// size and a rate that no write falls below while it is not waiting for a disk.
  static let writeBytesPerMs: Int64 = 128 * 1_024
  static let restMax: Duration = .seconds(2)
  /// Rests for one file; one that is written to all the time counts as changed.
  static let restsMax = 3
  /// Reads of one object in flight.
  static let readAheadMax = 4

  private let location: FileLocation
  private let files: any FileOperations
  private let pool: BlockPool

  public init(location: FileLocation, files: any FileOperations, pool: BlockPool) {
    self.location = location
    self.files = files
    self.pool = pool
  }

  public func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody {
    let path = try location.objectPath(bucket: request.bucket, key: request.key)
    var isSmall = request.size <= Int64(BlockPool.blockBytes)
    var rests = 0
    while true {
      let opened = isSmall ? try await openSmall(path) : try await openLarge(path)
      switch opened {
      case .body(let body): return body
      case .tooLarge: isSmall = false
      case .tooYoung(let rest):
        guard rests < Self.restsMax else { throw changed(path) }
        rests += 1
        await Reactor.current?.pause(for: rest)
      }
    }
  }

  public func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool {
    let path = try location.objectPath(bucket: request.bucket, key: request.key)
    switch await files.openBeneath(location.root.raw, path.bytes, flags: O_PATH) {
    case .failure(let failure) where failure.code == ENOENT || failure.code == ENOTDIR || failure.code == ELOOP: return false
    case .failure(let failure): throw .source(failure.code, "openat2", location.fullPath(path.bytes))
    case .success(let file):
      switch await files.status(file.fd) {
      case .success(let stat): return stat.isRegular
      case .failure(let failure): throw .source(failure.code, "statx", location.fullPath(path.bytes))
      }
    }
  }

  // MARK: Opening

  private enum Opened {
    case body(any ObjectBody)
    /// Does not fit into one block after all.
    case tooLarge
    /// Changed so recently that the next change may not show, or this one may not be over.
    case tooYoung(rest: Duration)
  }

  private func openSmall(_ path: ObjectPath) async throws(StoreError) -> Opened {
    let file = try await openFile(path)
    let block = await pool.take()
    let now = db_realtime_ns()
    let request = files.request()
    request.hold(file)
    request.status(file.fd, link: .always)
    request.read(file.fd, into: block.bytes, at: 0, keep: block, link: .always)
    request.status(file.fd)
    await files.perform(request)
    let (before, after) = (request.stat(0), request.stat(2))
    let values = (0..<3).map { request.value($0) }
    files.recycle(request)
    guard values[0] == 0, values[2] == 0 else {
      throw .source(-min(values[0], values[2]), "statx", location.fullPath(path.bytes))
    }
    try checkKind(before, path)
    if before.size > Int64(BlockPool.blockBytes) { return .tooLarge }
    if let rest = restNeeded(before, now: now) { return .tooYoung(rest: rest) }
    guard values[1] >= 0 else { throw .source(-values[1], "read", location.fullPath(path.bytes)) }
    guard before.isSameState(as: after), Int64(values[1]) == before.size else { throw changed(path) }
    block.count = Int(values[1])
    return .body(SmallFileBody(info: info(before), block: block))
  }

  private func openLarge(_ path: ObjectPath) async throws(StoreError) -> Opened {
    let file = try await openFile(path)
    let now = db_realtime_ns()
    switch await files.status(file.fd) {
    case .failure(let failure): throw .source(failure.code, "statx", location.fullPath(path.bytes))
    case .success(let stat):
      try checkKind(stat, path)
      if let rest = restNeeded(stat, now: now) { return .tooYoung(rest: rest) }
      return .body(
        LargeFileBody(info: info(stat), stat: stat, file: file, files: files, pool: pool, name: location.fullPath(path.bytes)))
    }
  }

  private func openFile(_ path: ObjectPath) async throws(StoreError) -> OpenFile {
    switch await files.openBeneath(location.root.raw, path.bytes, flags: O_RDONLY) {
    case .success(let file): return file
    case .failure(let failure): throw .source(failure.code, "openat2", location.fullPath(path.bytes))
    }
  }

  private func checkKind(_ stat: FileStat, _ path: ObjectPath) throws(StoreError) {
    guard stat.isRegular else { throw .source(EISDIR, "openat2", location.fullPath(path.bytes)) }
  }

  /// How long the file must be left alone yet; nil: it is old enough.
  private func restNeeded(_ stat: FileStat, now: Int64) -> Duration? {
    let age = now.subtractingReportingOverflow(stat.modifiedNs)
    // A time in the future was set by somebody; the next change will differ from it.
    guard !age.overflow, age.partialValue >= 0 else { return nil }
    let rest = min(Self.timeGrain + .milliseconds(stat.size / Self.writeBytesPerMs), Self.restMax) - .nanoseconds(age.partialValue)
    return rest > .zero ? rest + Self.timeGrain : nil
  }

  private func info(_ stat: FileStat) -> ObjectInfo {
    ObjectInfo(
      size: stat.size, modifiedNs: stat.modifiedNs, permissions: stat.mode & 0o777, isSparse: stat.allocated < stat.size)
  }

  private func changed(_ path: ObjectPath) -> StoreError { .changed(location.fullPath(path.bytes)) }
}

extension StoreError {
  static func changed(_ name: String) -> StoreError {
    StoreError(.sourceChanged, isRetryable: true, "\(name): was changed while it was being copied")
  }
}

extension FileStat {
  /// Same file, same contents as far as times can tell. Links and allocated blocks may change without the contents.
  func isSameState(as other: FileStat) -> Bool {
    size == other.size && modifiedNs == other.modifiedNs && inode == other.inode && device == other.device
  }
}

/// An object read whole already.
private final class SmallFileBody: ObjectBody {
  let info: ObjectInfo
  let hasBuffer = true
  private var block: Block?

  init(info: ObjectInfo, block: Block) {
    self.info = info
    self.block = block.count > 0 ? block : nil
  }

  func next() async throws(StoreError) -> Block? {
    defer { block = nil }
    return block
  }

  func close() { block = nil }
}
