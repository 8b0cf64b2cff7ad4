// A body that tells what of it was read, and how long that took: from the opening to its last byte. What is not read to its end (an answer that was not
// needed, an error) is no read.
//
// - Thread: that of the body.
internal import Reactor

final class MeasuredBody: ObjectBody {
  private let body: any ObjectBody
  private let figures: CopyFigures?
  private let progress: (any TransferProgress)?
  private let began: Instant
  /// The body that this is a part of; nil for a whole.
  private let whole: MeasuredBody?
  private var taken: Int64 = 0
  /// Bytes given, by the parts as well.
  private(set) var given: Int64 = 0

  /// - Parameter began: when it was asked for.
  init(
    _ body: any ObjectBody, began: Instant, figures: CopyFigures?, progress: (any TransferProgress)?, partOf whole: MeasuredBody? = nil
  ) {
    self.body = body
    self.began = began
    self.figures = figures
    self.progress = progress
    self.whole = whole
  }

  var info: ObjectInfo { body.info }
  var md5: MD5Digest? { body.md5 }
  var attributes: ObjectAttributes? { body.attributes }
  var hasBuffer: Bool { body.hasBuffer }

  func next() async throws(StoreError) -> Block? {
    guard let block = try await body.next() else { return nil }
    taken += Int64(block.count)
    (whole ?? self).given += Int64(block.count)
    progress?.moved(bytes: block.count)
    if taken == info.size { figures?.read(taken, in: Instant.nowUncached() - began) }
    return block
  }

  func part(_ range: Range<Int64>) async throws(StoreError) -> (any ObjectBody)? {
    let began = Instant.nowUncached()
    guard let part = try await body.part(range) else { return nil }
    return MeasuredBody(part, began: began, figures: figures, progress: progress, partOf: whole ?? self)
  }

  func close() { body.close() }
}
