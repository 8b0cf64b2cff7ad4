// The bytes of an object, counted as they go by on their way to a location: how far a copy is, for whoever asks meanwhile.
//
// What was read counts, which is at most some blocks ahead of what the target has. A part that has to be sent again is read again;
// whoever counts knows the size and bounds the sum.

/// Hears how far the copy of one object is. - Thread: the worker's that copies it.
public protocol TransferProgress: AnyObject {
  /// The source was opened for another attempt; it begins anew.
  func opened(bytes: Int64)
  /// So many of them were read.
  func moved(bytes: Int)
  /// The task is over. - Parameter isCopied: all of them stand at the target, and because of it.
  func ended(isCopied: Bool)
}

final class CountedBody: ObjectBody {
  private let body: any ObjectBody
  private let progress: any TransferProgress

  init(_ body: any ObjectBody, _ progress: any TransferProgress) {
    self.body = body
    self.progress = progress
  }

  var info: ObjectInfo { body.info }
  var md5: MD5Digest? { body.md5 }
  var attributes: ObjectAttributes? { body.attributes }
  var hasBuffer: Bool { body.hasBuffer }

  func next() async throws(StoreError) -> Block? {
    let block = try await body.next()
    if let block { progress.moved(bytes: block.count) }
    return block
  }

  func part(_ range: Range<Int64>) async throws(StoreError) -> (any ObjectBody)? {
    try await body.part(range).map { CountedBody($0, progress) }
  }

  func close() { body.close() }
}
