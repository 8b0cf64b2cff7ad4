// Why an object could not be read or written: a code for lists and metrics, whether trying again can help, and one line
// that names the thing and the way out. Operating errors only; a programmer's error crashes.
internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// Which end of a copy a store is, for the words of its errors.
public enum StoreSide: Hashable, Sendable { case source, target }

public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Stable names: shown in failed lists, counted in metrics.
  public enum Reason: String, Hashable, Sendable, CaseIterable {
    /// The object, or this version of it: it was deleted since.
    case sourceNotFound = "SourceNotFound"
    /// Where the object should be: more likely a mistake in the configuration than a deletion.
    case sourceBucketMissing = "SourceBucketMissing"
    case sourceUnreadable = "SourceUnreadable"
    case sourceNotAFile = "SourceNotAFile"
    case sourceChanged = "SourceChanged"
    case checksumMismatch = "ChecksumMismatch"
    case keyNotMappable = "KeyNotMappable"
    case targetMissing = "TargetMissing"
    case targetOccupied = "TargetOccupied"
    case targetChanged = "TargetChanged"
    case targetDenied = "TargetDenied"
    case targetFull = "TargetFull"
    case targetReadOnly = "TargetReadOnly"
    case targetUnwritable = "TargetUnwritable"
    case targetOtherFileSystem = "TargetOtherFileSystem"
    case fileTooLarge = "FileTooLarge"
    case tooManyOpenFiles = "TooManyOpenFiles"
    case outOfMemory = "OutOfMemory"
    case busy = "Busy"
    /// No answer, or one of "not now": the service, not the object.
    case sourceUnavailable = "SourceUnavailable"
    case targetUnavailable = "TargetUnavailable"
    /// Asked to slow down.
    case throttled = "Throttled"
    case timedOut = "TimedOut"
    /// An answer that says the request is wrong.
    case sourceRefused = "SourceRefused"
    case targetRefused = "TargetRefused"
    case redirected = "Redirected"
  }

  public let reason: Reason
  /// Whether the same attempt may succeed later without anybody doing something about this very object.
  public let isRetryable: Bool
  /// One line for a person: the thing, what is wrong with it, the way out where there is one.
  public let message: String
  /// Whose failure it was; nil where that is not known or does not matter.
  public var side: StoreSide?
  /// The store as a whole seems unable to serve: other objects would fare no better.
  public var isOutage = false
  /// The store asked for this rest before the next attempt.
  public var retryAfter: Duration?
  /// What a service said of the condition of a write; nil where it said nothing of it.
  var condition: ConditionAnswer?

  public init(_ reason: Reason, isRetryable: Bool, _ message: String) {
    self.reason = reason
    self.isRetryable = isRetryable
    self.message = message
  }

  /// The source has no such object, whatever the reason.
  var isGoneAtSource: Bool { reason == .sourceNotFound || reason == .sourceBucketMissing }

  /// The code shown in failed lists.
  public var code: String { reason.rawValue }
  public var description: String { "\(code): \(message)" }
}

extension StoreError {
  /// A call on the source failed.
  /// - Parameter path: the file, as a person knows it.
  static func source(_ code: Int32, _ call: String, _ path: String) -> StoreError {
    let text = "\(path): \(Errno(code, call))"
    switch code {
    case ENOENT, ENOTDIR: return StoreError(.sourceNotFound, isRetryable: false, "\(path): no such file in the source")
    case ELOOP, EXDEV:
      return StoreError(.sourceNotAFile, isRetryable: false, "\(path): a link on the way; links are not followed")
    case ENXIO, EISDIR, ENODEV: return StoreError(.sourceNotAFile, isRetryable: false, "\(path): not a regular file")
    case EACCES, EPERM: return StoreError(.sourceUnreadable, isRetryable: false, "\(text); make it readable for this user")
    case ENAMETOOLONG, EINVAL: return StoreError(.keyNotMappable, isRetryable: false, text)
    default: return shared(code, text) ?? StoreError(.sourceUnreadable, isRetryable: true, text)
    }
  }

  /// A call on the target failed.
  static func target(_ code: Int32, _ call: String, _ path: String) -> StoreError {
    let text = "\(path): \(Errno(code, call))"
    switch code {
    case ENOSPC:
      return StoreError(.targetFull, isRetryable: true, "\(path): no space left on the target's file system; make room there")
    case EDQUOT: return StoreError(.targetFull, isRetryable: true, "\(path): the disk quota at the target is used up")
    case EFBIG:
      return StoreError(.fileTooLarge, isRetryable: false, "\(path): larger than the target's file system or the file size limit allows")
    case EACCES, EPERM: return StoreError(.targetDenied, isRetryable: false, "\(text); give this user write access")
    case EROFS: return StoreError(.targetReadOnly, isRetryable: true, "\(path): the target's file system is read-only")
    case EXDEV:
      return StoreError(
        .targetOtherFileSystem, isRetryable: false,
        "\(path): lies on another file system than its location's root; give that file system a location of its own")
    case ELOOP, ENOTDIR:
      return StoreError(.targetOccupied, isRetryable: false, "\(path): a link or file that is not ours stands on the way; remove it")
    case EISDIR, ENOTEMPTY, EEXIST: return StoreError(.targetOccupied, isRetryable: false, "\(path): the name is taken; remove what is there")
    case ENAMETOOLONG, EINVAL, EILSEQ: return StoreError(.keyNotMappable, isRetryable: false, text)
    case ENOENT:
      return StoreError(.targetMissing, isRetryable: true, "\(path): the target directory vanished while it was written to")
    default: return shared(code, text) ?? StoreError(.targetUnwritable, isRetryable: true, text)
    }
  }

  private static func shared(_ code: Int32, _ text: String) -> StoreError? {
    switch code {
    case EMFILE, ENFILE: StoreError(.tooManyOpenFiles, isRetryable: true, "\(text); raise the limit of open files (LimitNOFILE)")
    case ENOMEM: StoreError(.outOfMemory, isRetryable: true, text)
    case ENOBUFS, EAGAIN, EBUSY, ECANCELED, ESTALE: StoreError(.busy, isRetryable: true, text)
    default: nil
    }
  }

  /// The key has no file name in this location.
  static func keyPath(_ error: KeyPathError, bucket: String, key: String) -> StoreError {
    let object = PrintableName.of("\(bucket)/\(key)")
    let why =
      switch error {
      case .bucketIsNoName: "the bucket cannot be a directory name"
      case .keyIsNoPath: "the key is no file path"
      case .keyIsReserved: "names below .downbeat are reserved"
      case .tooLong: "the name would be too long"
      }
    return StoreError(.keyNotMappable, isRetryable: false, "\(object): \(why)")
  }
}
