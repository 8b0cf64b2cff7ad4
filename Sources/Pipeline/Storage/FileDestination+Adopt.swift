// A file of the same size stands at an object's place that is not (or no longer) ours. If its bytes are equal it becomes
// our copy, with the source's permission bits and time; else it stays untouched and the object fails.
internal import CLinux
internal import Glibc
internal import Reactor

/// The bytes to compare with. Not from the pool: whoever waits for a block of it may not hold another one.
private final class Comparison {
  let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: BlockPool.blockBytes, alignment: 4_096)
  var count = 0
  deinit { bytes.deallocate() }
}

extension FileDestination {
  func adopt(_ request: ObjectRequest, _ body: any ObjectBody, _ place: Place, _ target: TargetFile) async throws(StoreError) -> PutOutcome {
    let md5 = digests.take()
    defer { digests.giveBack(md5) }
    let theirs = Comparison()
    var offset: Int64 = 0
    while let block = try await body.next() {
      md5.add(block.filled)
      try await read(target, into: theirs, count: block.count, at: offset, place)
      guard theirs.count == block.count, memcmp(theirs.bytes.baseAddress!, block.bytes.baseAddress!, block.count) == 0 else {
        throw refusal(target, place)
      }
      offset += Int64(block.count)
    }
    let digest = md5.finish()
    if let expected = request.md5, expected != digest { throw refusal(target, place) }
    guard try plainStat(target.file.fd, place.path.bytes).isSameState(as: target.stat) else { throw refusal(target, place) }

    let copy = try describe(fd: target.file.fd, place.path.bytes, body.info)
    var record = CopyRecord(request, body.info, md5: digest, copy: copy)
    record.isDisplaced = place.isDisplaced
    if !(try await syncWithAttributes(target.file, record, request, place.path.bytes, isNew: false)) {
      try await writeSidecar(request, place, record)
    }
    return .adopted(CopyReceipt(bytes: body.info.size, md5: digest))
  }

  /// `block.count` is less than asked for only at the end of the file.
  private func read(_ target: TargetFile, into block: Comparison, count: Int, at offset: Int64, _ place: Place) async throws(StoreError) {
    block.count = 0
    while block.count < count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: block.bytes[block.count..<count])
      let value = await files.read(target.file.fd, into: rest, at: offset + Int64(block.count), keep: block)
      guard value >= 0 else { throw targetError(-value, "read", place.path.bytes) }
      if value == 0 { return }
      block.count += Int(value)
    }
  }
}
