// The failed list of one location, in its state directory: a log of lines that say what failed and what was cleared,
// compacted when most of it is history. Durable when a call returns; bounded in memory (an index, no records) and on
// disk; a torn last line after a kill is cut off.
//
// On a disk that is full the first failures still have to be written down: some room is set aside beforehand.
// Not here: what to do about a failure, or who may ask.

internal import CLinux
internal import Glibc
public import Reactor

/// A page of the failed list, newest first.
public struct FailedListPage: Hashable, Sendable {
  public var records: [FailedRecord] = []
  /// Time (Unix ms) of the next record to list; nil at the end.
  public var nextMarkerMs: Int64?

  public init() {}
}

/// Synchronous and blocking; one thread at a time. `FailedList` is the way to use it from elsewhere.
public final class FailedLog {
  /// Records kept; of more the oldest is forgotten here (its object still counts as not replicated).
  public static let recordsMax = 100_000
  /// A page, before it is extended to all records of its last moment.
  public static let pageCount = 100
  /// The contract's default (`monitorReplicationFailureExpiryTimeS`).
  public static let expiry: Duration = .seconds(86_400)
  /// Set aside on disk for the time when it is full: about a thousand records.
  static let reserveBytes: Int64 = 262_144
  /// History worth a compaction.
  static let historyBytesMin = 1 << 20

  private let path: String
  private let directory: String
  private let expiryMs: Int64
  private let recordsMax: Int
  private var file: OwnedFD
  private var index = FailedIndex()
  private var fileBytes = 0
  private var liveBytes = 0
  /// Not before the file has this size: the last attempt failed.
  private var compactAtBytes = 0
  /// Records forgotten for want of room since the start.
  private(set) var droppedCount = 0
  /// Lines of the file that could not be read.
  private(set) var unreadableLines = 0

  /// Opens or makes `<directory>/failed.log`.
  /// - Blocking: reads the whole file once. - Errors: `Errno` with the path.
  public init(
    directory: String, expiry: Duration = FailedLog.expiry, recordsMax: Int = FailedLog.recordsMax,
    nowMs: Int64 = WallClock.nowMs()
  ) throws(Errno) {
    self.directory = directory
    self.recordsMax = recordsMax
    path = directory + "/failed.log"
    expiryMs = expiry.nanoseconds / 1_000_000
    file = try Self.open(path, O_RDWR | O_CREAT)
    try load()
    expire(nowMs: nowMs)
    reserve()
  }

  var count: Int { index.count }

  var hashes: Set<UInt64> { Set(index.all.lazy.map { $0.hash }) }

  func contains(_ version: FailedVersion) -> Bool { index.place(of: version.hash) != nil }

  // MARK: Changing

  /// Notes failures; one of an object noted before replaces it.
  /// - Blocking: a write and an fdatasync. - Errors: nothing was noted then.
  /// - Returns: hashes of the oldest records, forgotten because there is no room for more.
  @discardableResult
  func record(_ records: [FailedRecord]) throws(Errno) -> [UInt64] {
    var bytes: [UInt8] = []
    var places: [FailedIndex.Place] = []
    for record in records {
      let line = FailedLine.failed(record).bytes
      guard line.count <= FailedLine.bytesMax else { throw Errno(EMSGSIZE, "write \(path)") }
      places.append(place(record, offset: fileBytes + bytes.count, length: line.count))
      bytes += line
    }
    guard !bytes.isEmpty else { return [] }
    try append(bytes)
    for place in places { insert(place) }
    var dropped: [UInt64] = []
    while index.count > recordsMax, let oldest = index.oldest {
      forget(oldest.hash)
      dropped.append(oldest.hash)
    }
    droppedCount += dropped.count
    compactIfWorthIt()
    return dropped
  }

  /// Takes objects off the list; those that are not on it are ignored.
  /// - Blocking: a write and an fdatasync if anything was on it.
  func clear(_ versions: [FailedVersion]) throws(Errno) {
    let known = versions.filter { contains($0) }
    guard !known.isEmpty else { return }
    try append(known.flatMap { FailedLine.cleared($0).bytes })
    for version in known { forget(version.hash) }
    compactIfWorthIt()
  }

  /// Takes off what an earlier listing of the source had noted and a complete one that began at `ms` did not repeat.
  func clearListingFailures(before ms: Int64) throws(Errno) {
    let stale = index.all.filter { $0.isListing && $0.atMs < ms }
    var versions: [FailedVersion] = []
    for place in stale { if let record = try read(place) { versions.append(record.version) } }
    try clear(versions)
  }

  /// Forgets what has become too old. Nothing needs to be written: it is as old for the next reader.
  func expire(nowMs: Int64) {
    while let oldest = index.oldest, oldest.atMs <= nowMs - expiryMs { forget(oldest.hash) }
  }

  // MARK: Reading

  /// - Parameter markerMs: lists from the newest record not after it; nil: from the newest.
  /// - Blocking: a read per record.
  func page(markerMs: Int64? = nil, nowMs: Int64 = WallClock.nowMs()) throws(Errno) -> FailedListPage {
    expire(nowMs: nowMs)
    var places: [FailedIndex.Place] = []
    var page = FailedListPage()
    index.newestFirst(notAfter: markerMs ?? .max) { place in
      if places.count >= Self.pageCount, place.atMs != places.last?.atMs {
        page.nextMarkerMs = place.atMs
        return false
      }
      places.append(place)
      return true
    }
    for place in places { if let record = try read(place) { page.records.append(record) } }
    return page
  }

  func record(of version: FailedVersion, nowMs: Int64 = WallClock.nowMs()) throws(Errno) -> FailedRecord? {
    expire(nowMs: nowMs)
    guard let place = index.place(of: version.hash) else { return nil }
    return try read(place)
  }

  private func read(_ place: FailedIndex.Place) throws(Errno) -> FailedRecord? {
    var bytes = [UInt8](repeating: 0, count: Int(place.length))
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        pread(file.raw, $0.baseAddress! + filled, $0.count - filled, place.offset + filled)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw count < 0 ? Errno.last("read \(path)") : Errno(EIO, "read \(path): cut short") }
      filled += count
    }
    guard case .failed(var record)? = FailedLine(bytes.dropLast()) else { return nil }
    record.failedAtMs = place.atMs
    return record
  }

  // MARK: The file

  private func load() throws(Errno) {
    var line: [UInt8] = []
    var start = 0
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = pread(file.raw, &block, block.count, start + line.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Errno.last("read \(path)") }
      if count == 0 { break }
      var from = 0
      while let newline = block[from..<count].firstIndex(of: UInt8(ascii: "\n")) {
        line += block[from..<newline]
        take(line, at: start)
        start += line.count + 1
        line.removeAll(keepingCapacity: true)
        from = newline + 1
      }
      line += block[from..<count]
    }
    // What has no newline was being written when the process or the machine stopped.
    if !line.isEmpty, ftruncate(file.raw, start) != 0 { throw Errno.last("ftruncate \(path)") }
    fileBytes = start
  }

  private func take(_ line: [UInt8], at offset: Int) {
    switch FailedLine(line) {
    case .failed(let record): insert(place(record, offset: offset, length: line.count + 1))
    case .cleared(let version): forget(version.hash)
    case nil: unreadableLines += 1
    }
  }

  private func place(_ record: FailedRecord, offset: Int, length: Int) -> FailedIndex.Place {
    FailedIndex.Place(
      hash: record.version.hash, atMs: record.failedAtMs, offset: offset, length: Int32(length),
      isListing: record.origin == .listing)
  }

  private func insert(_ place: FailedIndex.Place) {
    forget(place.hash)
    index.insert(place)
    liveBytes += Int(place.length)
  }

  private func forget(_ hash: UInt64) {
    guard let place = index.place(of: hash) else { return }
    index.remove(hash)
    liveBytes -= Int(place.length)
  }

  private func append(_ bytes: [UInt8]) throws(Errno) {
    do throws(Errno) {
      try Self.write(bytes, to: file.raw, at: fileBytes, path)
      guard fdatasync(file.raw) == 0 else { throw Errno.last("fdatasync \(path)") }
    } catch {
      // A part of it may be there: the next append starts over it, and the tail must not be read as lines.
      _ = ftruncate(file.raw, fileBytes)
      throw error
    }
    fileBytes += bytes.count
  }

  /// Compacts when more of the file, or of the index, is history than not. What was asked for is durable already, so a
  /// failure (a full disk) only puts it off.
  private func compactIfWorthIt() {
    let history = fileBytes - liveBytes
    let isWorthIt = history > max(Self.historyBytesMin, liveBytes) || index.holes > max(1_024, index.count)
    guard isWorthIt, fileBytes >= compactAtBytes else { return }
    do throws(Errno) {
      try compact()
      compactAtBytes = 0
    } catch {
      compactAtBytes = fileBytes + Self.historyBytesMin
    }
  }

  /// Writes the records that are left into a new file and puts it in place of the old one.
  private func compact() throws(Errno) {
    let temporary = path + ".new"
    let fresh = try Self.open(temporary, O_RDWR | O_CREAT | O_TRUNC)
    var (moved, bytes, offset) = (FailedIndex(), [UInt8](), 0)
    for place in index.all {
      guard let record = try read(place) else { continue }
      let line = FailedLine.failed(record).bytes
      moved.insert(self.place(record, offset: offset + bytes.count, length: line.count))
      bytes += line
      guard bytes.count >= 65_536 else { continue }
      try Self.write(bytes, to: fresh.raw, at: offset, temporary)
      offset += bytes.count
      bytes.removeAll(keepingCapacity: true)
    }
    try Self.write(bytes, to: fresh.raw, at: offset, temporary)
    guard fsync(fresh.raw) == 0 else { throw Errno.last("fsync \(temporary)") }
    guard rename(temporary, path) == 0 else { throw Errno.last("rename \(path)") }
    let parent = try Self.open(directory, O_RDONLY | O_DIRECTORY)
    guard fsync(parent.raw) == 0 else { throw Errno.last("fsync \(directory)") }
    file = fresh
    index = moved
    fileBytes = offset + bytes.count
    liveBytes = fileBytes
    reserve()
  }

  /// Best effort: a file system without fallocate, or already full, works without.
  private func reserve() { _ = db_reserve(file.raw, Int64(fileBytes), Self.reserveBytes) }

  private static func open(_ path: String, _ flags: Int32) throws(Errno) -> OwnedFD {
    let raw = Glibc.open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard raw >= 0 else { throw Errno.last("open \(path)") }
    return OwnedFD(adopting: raw)
  }

  private static func write(_ bytes: [UInt8], to fd: Int32, at offset: Int, _ path: String) throws(Errno) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { pwrite(fd, $0.baseAddress! + done, $0.count - done, offset + done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw count < 0 ? Errno.last("write \(path)") : Errno(ENOSPC, "write \(path)") }
      done += count
    }
  }
}
