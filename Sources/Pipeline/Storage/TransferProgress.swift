// How far the copy of an object is, for whoever asks meanwhile. What was read counts, which is at most some blocks ahead of what the
// target has. A part that has to be sent again is read again; whoever counts knows the size and bounds the sum.

/// Hears how far the copy of one object is. - Thread: the worker's that copies it.
public protocol TransferProgress: AnyObject {
  /// The source was opened for another attempt; it begins anew.
  func opened(bytes: Int64)
  /// So many of them were read.
  func moved(bytes: Int)
  /// The task is over. - Parameter isCopied: all of them stand at the target, and because of it.
  func ended(isCopied: Bool)
}
