// The temporary file of a copy: made, filled from the body, described, synced.
internal import CLinux
internal import DequeModule
internal import Glibc
internal import PipelineCore
internal import Reactor
internal import Synchronization

extension FileDestination {
  struct TemporaryFile {
    let name: [UInt8]
    let file: OpenFile
    /// For messages: where it is to go.
    let target: [UInt8]
  }

  private struct Write {
    let request: FileRequest
    let block: Block
    let offset: Int64
  }

  func makeTemporary(_ place: Place) async throws(StoreError) -> TemporaryFile {
    let name = location.temporaryName()
    let flags = O_CREAT | O_EXCL | O_WRONLY
    switch await files.openBeneath(location.temporaryFD, name, flags: flags, mode: 0o600) {
    case .success(let file): return TemporaryFile(name: name, file: file, target: place.path.bytes)
    case .failure(let failure): throw targetError(failure.code, "openat2", FileLocation.temporaryPath + [0x2F] + name)
    }
  }

  /// Takes the body to its end.
  /// - Returns: the MD5 of what was written. - Errors: besides I/O, `checksumMismatch` and `sourceChanged`.
  func fill(_ temporary: TemporaryFile, _ request: ObjectRequest, _ body: any ObjectBody) async throws(StoreError) -> MD5Digest {
    let md5 = digests.take()
    defer { digests.giveBack(md5) }
    var writes = Deque<Write>()
    var offset: Int64 = 0
    var endsInHole = false
    while true {
      if !body.hasBuffer { try await finishAll(&writes, temporary) }
      guard let block = try await body.next() else { break }
      md5.add(block.filled)
      let start = offset
      offset += Int64(block.count)
      endsInHole = body.info.isSparse && block.isZero
      if endsInHole { continue }
      if writes.count == Self.writesMax { try await finish(writes.removeFirst(), temporary) }
      writes.append(begin(block, at: start, temporary))
    }
    try await finishAll(&writes, temporary)
    if endsInHole, ftruncate(temporary.file.fd, off_t(offset)) != 0 { throw targetError(errno, "ftruncate", temporary.target) }
    guard offset == body.info.size else { throw .changed(location.fullPath(temporary.target)) }
    let digest = md5.finish()
    if let expected = request.md5, expected != digest {
      throw StoreError(
        .checksumMismatch, isRetryable: true,
        "\(PrintableName.of("\(request.bucket)/\(request.key)")): the source's bytes have MD5 \(digest), not \(expected) as they should")
    }
    return digest
  }

  private func begin(_ block: Block, at offset: Int64, _ temporary: TemporaryFile) -> Write {
    let request = files.request()
    request.hold(temporary.file)
    request.write(temporary.file.fd, from: block.filled, at: offset, keep: block)
    files.begin(request)
    return Write(request: request, block: block, offset: offset)
  }

  private func finishAll(_ writes: inout Deque<Write>, _ temporary: TemporaryFile) async throws(StoreError) {
    while let write = writes.popFirst() { try await finish(write, temporary) }
  }

  private func finish(_ write: Write, _ temporary: TemporaryFile) async throws(StoreError) {
    await files.finished(write.request)
    var value = write.request.value()
    files.recycle(write.request)
    var count = 0
    while true {
      // Zero bytes taken and no error: the file system does not move; better an error than a loop.
      guard value > 0 else { throw targetError(value < 0 ? -value : EIO, "write", temporary.target) }
      count += Int(value)
      if count == write.block.count { return }
      let rest = UnsafeRawBufferPointer(rebasing: write.block.filled[count...])
      value = await files.write(temporary.file.fd, from: rest, at: write.offset + Int64(count), keep: write.block)
    }
  }

  // MARK: Description

  /// UTIME_OMIT, a macro of <linux/stat.h> that Swift does not see.
  private static let leaveTime = (1 << 30) - 2

  /// Permission bits and time; then the length is checked.
  /// - Returns: how the copy looks, as its record will say.
  func describe(fd: Int32, _ path: [UInt8], _ info: ObjectInfo) throws(StoreError) -> FileStat {
    // Only the copy's own calls on an open file: nothing here waits for a disk on a local file system.
    let bits = info.permissions.map { $0 & 0o777 } ?? (0o666 & ~FileLocation.umaskBits)
    guard fchmod(fd, mode_t(bits)) == 0 else { throw targetError(errno, "fchmod", path) }
    if let modifiedNs = info.modifiedNs {
      // Rounded down without leaving the range: the source may say any time there is.
      let (seconds, rest) = modifiedNs.quotientAndRemainder(dividingBy: 1_000_000_000)
      let (down, up): (Int64, Int64) = rest >= 0 ? (seconds, rest) : (seconds - 1, rest + 1_000_000_000)
      let time = timespec(tv_sec: Int(down), tv_nsec: Int(up))
      var times = [timespec](repeating: time, count: 2)
      // The time of last access is nobody's business: left as it is.
      times[0].tv_nsec = Self.leaveTime
      guard futimens(fd, &times) == 0 else { throw targetError(errno, "futimens", path) }
    }
    let copy = try plainStat(fd, path)
    guard copy.size == info.size else {
      throw StoreError(
        .targetUnwritable, isRetryable: true,
        "\(location.fullPath(path)): \(info.size) bytes were written and \(copy.size) are there")
    }
    return copy
  }

  func plainStat(_ fd: Int32, _ path: [UInt8]) throws(StoreError) -> FileStat {
    guard let stat = FileStat.of(fd) else { throw targetError(errno, "statx", path) }
    return stat
  }

  /// Writes record, status and metadata onto the file and syncs it, in one request.
  /// - Parameter isNew: the file has no attributes yet.
  /// - Returns: false if some of them are refused or do not fit (the file is synced all the same).
  func syncWithAttributes(
    _ file: OpenFile, _ record: CopyRecord, _ request: ObjectRequest, _ path: [UInt8], isNew: Bool = true
  ) async throws(StoreError) -> Bool {
    let chain = files.request()
    chain.hold(file)
    var areAllTried = !location.refusesAttributes.load(ordering: .relaxed)
    var last = 0
    func add(_ name: String, _ value: [UInt8], bytesMax: Int = .max) {
      // Too long for the request, or to be read back: that one goes into the sidecar.
      guard value.count <= bytesMax, chain.hasRoom(forAttribute: name, value) else { return areAllTried = false }
      chain.setAttribute(file.fd, name, value, link: .always)
      last += 1
    }
    if areAllTried {
      add(CopyRecord.attributeName, record.json.bytes, bytesMax: CopyRecords.attributeBytesMax)
      add(statusAttributeName(request.site), Array("COMPLETED".utf8))
      // What a file has from an earlier life as a copy is not this object's.
      let isNeeded = !request.attributes.isEmpty || (!isNew && fgetxattr(file.fd, ObjectAttributes.attributeName, nil, 0) >= 0)
      if isNeeded { add(ObjectAttributes.attributeName, request.attributes.json.bytes) }
    }
    chain.sync(file.fd)
    await files.perform(chain)
    let values = (0...last).map { chain.value($0) }
    files.recycle(chain)
    guard values[last] == 0 else { throw targetError(-values[last], "fsync", path) }
    return judgeAttributes(values.dropLast().min() ?? 0) && areAllTried
  }

  /// - Parameter value: the worst answer.
  func judgeAttributes(_ value: Int32) -> Bool {
    guard value < 0 else { return true }
    if value == -EOPNOTSUPP { location.noteRefusedAttributes(EOPNOTSUPP) }
    // Too large for this file system's attributes (ext4 answers ENOSPC), or a file that is not ours to mark: only this
    // copy's record goes into a sidecar.
    return false
  }
}

extension FileStat {
  /// Of an open file, by a plain call; nil with errno.
  static func of(_ fd: Int32) -> FileStat? {
    var facts = Glibc.stat()
    guard fstat(fd, &facts) == 0 else { return nil }
    var stat = FileStat()
    stat.device = UInt64(db_major(facts.st_dev)) << 32 | UInt64(db_minor(facts.st_dev))
    stat.inode = UInt64(facts.st_ino)
    stat.mode = facts.st_mode
    stat.links = UInt32(clamping: facts.st_nlink)
    stat.size = Int64(facts.st_size)
    stat.allocated = Int64(facts.st_blocks) * 512
    stat.modifiedNs = FileStat.ns(seconds: Int64(facts.st_mtim.tv_sec), rest: Int64(facts.st_mtim.tv_nsec))
    return stat
  }
}
