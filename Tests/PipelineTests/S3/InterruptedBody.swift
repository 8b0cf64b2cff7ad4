// A body out of memory.
@testable import Pipeline

/// Something happens between the look at the target and the first byte.
final class InterruptedBody: ObjectBody {
  let info: ObjectInfo
  let hasBuffer = false
  private var rest: ArraySlice<UInt8>
  private let pool: BlockPool
  private var before: (() async throws(StoreError) -> Void)?

  init(_ bytes: [UInt8], _ pool: BlockPool, _ before: @escaping () async throws(StoreError) -> Void = {}) {
    info = ObjectInfo(size: Int64(bytes.count))
    rest = bytes[...]
    self.pool = pool
    self.before = before
  }

  func next() async throws(StoreError) -> Block? {
    if let before = before.take() { try await before() }
    guard !rest.isEmpty else { return nil }
    let block = await pool.take()
    block.count = min(rest.count, block.bytes.count)
    block.bytes.copyBytes(from: rest.prefix(block.count))
    rest = rest.dropFirst(block.count)
    return block
  }

  func close() {}
}
