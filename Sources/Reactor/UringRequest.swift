// One request to the file system: a chain of one to four steps that run in order. It owns every operand the kernel will
// touch (paths, open_how, statx buffers, references to data blocks) from `begin` until all of its steps are answered,
// because the kernel may read and write them at any time in between.
//
// Requests are pooled by whoever carries them out (`FileOperations.request`, `recycle`); a warm request allocates
// nothing. It deliberately knows neither rings nor plain calls.
internal import CLinux
internal import CUring
internal import Glibc

/// What `statx` tells of a file. Times are nanoseconds since 1970, saturating.
public struct FileStat: Equatable, Sendable {
  public var device: UInt64 = 0
  public var inode: UInt64 = 0
  /// File type and permission bits.
  public var mode: UInt32 = 0
  public var links: UInt32 = 0
  public var size: Int64 = 0
  /// Bytes on disk; below `size` for a file with holes.
  public var allocated: Int64 = 0
  public var modifiedNs: Int64 = 0

  public init() {}

  public var isRegular: Bool { mode & S_IFMT == S_IFREG }
  public var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
  public var isSymbolicLink: Bool { mode & S_IFMT == S_IFLNK }

  init(_ raw: statx) {
    device = UInt64(raw.stx_dev_major) << 32 | UInt64(raw.stx_dev_minor)
    inode = raw.stx_ino
    mode = UInt32(raw.stx_mode)
    links = raw.stx_nlink
    size = Int64(clamping: raw.stx_size)
    allocated = Int64(clamping: raw.stx_blocks).multipliedReportingOverflow(by: 512).partialValue
    modifiedNs = Self.ns(seconds: raw.stx_mtime.tv_sec, rest: Int64(raw.stx_mtime.tv_nsec))
  }

  /// Nanoseconds of a time the kernel tells in two parts; saturating.
  public static func ns(seconds: Int64, rest: Int64) -> Int64 {
    let (whole, isOver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isOverBy) = whole.addingReportingOverflow(rest)
    return isOver || isOverBy ? (seconds < 0 ? .min : .max) : sum
  }
}

/// A path or a name for the kernel: bytes without NUL.
public typealias PathBytes = [UInt8]

public final class FileRequest {
  /// Steps of a chain at the most.
  public static let stepsMax = 4
  /// Bytes of paths, names and attribute values of one request, their NULs included.
  static let operandBytesMax = 12_288

  enum Kind: UInt8, CaseIterable {
    case openAt, read, write, sync, rename, status, close, makeDirectory, unlink, setAttribute
  }

  /// How the next step hangs on this one.
  public enum Link: UInt8, Sendable {
    /// The next step runs only if this one did all it was asked to; a short read or write counts as a failure.
    case onSuccess
    /// The next step runs whatever this one answers.
    case always
  }

  struct Step {
    var kind: Kind
    var link: Link = .onSuccess
    var fd: Int32
    var otherFD: Int32 = -1
    var path: UnsafePointer<CChar>?
    var otherPath: UnsafePointer<CChar>?
    var data: UnsafeMutableRawPointer?
    var length: UInt32 = 0
    var offset: UInt64 = 0
    var flags: UInt32 = 0
    var value: Int32 = 0
  }

  private(set) var steps: [Step] = []
  private(set) var isSealed = false
  /// Set when an operand did not fit or held NUL: answered for every step without asking the kernel.
  private(set) var refused: Int32?
  var isDone = false
  var waiter: UnsafeContinuation<Void, Never>?
  var answersMissing = 0
  /// Steps answered.
  var stepsDone = 0
  /// The steps the kernel has, or gets next.
  var section = 0..<0
  /// Nobody waits for it: it goes back to the pool by itself.
  var isForgotten = false
  /// True once the steps are in the kernel's hands; before that a plan may still be shared by others.
  public internal(set) var isSubmitted = false

  private var kept: [AnyObject] = []
  private let how: UnsafeMutablePointer<open_how>
  private let statuses: UnsafeMutablePointer<statx>
  private let operands: UnsafeMutablePointer<CChar>
  private var operandBytes = 0

  init() {
    how = .allocate(capacity: Self.stepsMax)
    statuses = .allocate(capacity: Self.stepsMax)
    statuses.initialize(repeating: statx(), count: Self.stepsMax)
    operands = .allocate(capacity: Self.operandBytesMax)
    steps.reserveCapacity(Self.stepsMax)
  }

  deinit {
    precondition(answersMissing == 0, "a request the kernel still works on was freed")
    how.deallocate()
    statuses.deallocate()
    operands.deallocate()
  }

  /// Keeps `object` alive until every step is answered.
  public func hold(_ object: AnyObject) { kept.append(object) }

  // MARK: Steps, in the order they shall run

  /// openat2: `resolve` as in `ResolveRule`. The answer is the descriptor; it is the caller's to close.
  public func openAt(
    _ directory: Int32, _ path: PathBytes, flags: Int32, mode: UInt32 = 0, resolve: UInt64, link: Link = .onSuccess
  ) {
    how[steps.count] = open_how(flags: UInt64(UInt32(bitPattern: flags)), mode: UInt64(mode), resolve: resolve)
    append(Step(kind: .openAt, link: link, fd: directory, path: operand(path)))
  }

  /// - Parameter keep: what owns `bytes`; held until the answer is there.
  public func read(
    _ fd: Int32, into bytes: UnsafeMutableRawBufferPointer, at offset: Int64, keep: AnyObject, link: Link = .onSuccess
  ) {
    kept.append(keep)
    append(
      Step(kind: .read, link: link, fd: fd, data: bytes.baseAddress, length: UInt32(bytes.count), offset: UInt64(offset)))
  }

  /// - Parameter keep: what owns `bytes`; held until the answer is there. Nobody may change them meanwhile.
  public func write(
    _ fd: Int32, from bytes: UnsafeRawBufferPointer, at offset: Int64, keep: AnyObject, link: Link = .onSuccess
  ) {
    kept.append(keep)
    let data = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
    append(Step(kind: .write, link: link, fd: fd, data: data, length: UInt32(bytes.count), offset: UInt64(offset)))
  }

  public func sync(_ fd: Int32, link: Link = .onSuccess) { append(Step(kind: .sync, link: link, fd: fd)) }

  /// - Parameter noReplace: answer EEXIST instead of replacing what has the name (EINVAL where a file system cannot).
  public func rename(
    _ fromDirectory: Int32, _ from: PathBytes, to directory: Int32, _ name: PathBytes, noReplace: Bool, link: Link = .onSuccess
  ) {
    append(
      Step(
        kind: .rename, link: link, fd: fromDirectory, otherFD: directory, path: operand(from), otherPath: operand(name),
        flags: noReplace ? 1 : 0))
  }

  /// Of the open file itself.
  public func status(_ fd: Int32, link: Link = .onSuccess) {
    append(Step(kind: .status, link: link, fd: fd, path: operand([]), flags: UInt32(AT_EMPTY_PATH)))
  }

  /// Of what `name` names, a link not followed.
  public func status(_ directory: Int32, _ name: PathBytes, link: Link = .onSuccess) {
    append(Step(kind: .status, link: link, fd: directory, path: operand(name), flags: UInt32(AT_SYMLINK_NOFOLLOW)))
  }

  public func close(_ fd: Int32, link: Link = .onSuccess) { append(Step(kind: .close, link: link, fd: fd)) }

  public func makeDirectory(_ directory: Int32, _ name: PathBytes, mode: UInt32, link: Link = .onSuccess) {
    append(Step(kind: .makeDirectory, link: link, fd: directory, path: operand(name), length: mode))
  }

  /// - Parameter isDirectory: remove an empty directory instead of a file.
  public func unlink(_ directory: Int32, _ name: PathBytes, isDirectory: Bool = false, link: Link = .onSuccess) {
    append(
      Step(kind: .unlink, link: link, fd: directory, path: operand(name), flags: isDirectory ? UInt32(AT_REMOVEDIR) : 0))
  }

  public func setAttribute(_ fd: Int32, _ name: String, _ value: [UInt8], link: Link = .onSuccess) {
    let bytes = operand(value, isText: false)
    append(
      Step(
        kind: .setAttribute, link: link, fd: fd, path: operand(Array(name.utf8)), data: UnsafeMutableRawPointer(mutating: bytes),
        length: UInt32(value.count)))
  }

  /// Whether an attribute of so many bytes still fits beside the other operands. One that does not is refused with all other steps.
  public func hasRoom(forAttribute name: String, _ value: [UInt8]) -> Bool {
    name.utf8.count + value.count + 2 <= Self.operandBytesMax - operandBytes
  }

  // MARK: Answers

  /// What step `index` answered: the call's result, or the negative errno; -ECANCELED if a step before it failed.
  public func value(_ index: Int = 0) -> Int32 { steps[index].value }

  /// What a `status` step found. Only after it answered 0.
  public func stat(_ index: Int = 0) -> FileStat { FileStat(statuses[index]) }

  // MARK: For those who carry it out

  var count: Int { steps.count }

  func openHow(_ index: Int) -> UnsafeMutablePointer<open_how> { how + index }
  func statusBuffer(_ index: Int) -> UnsafeMutablePointer<statx> { statuses + index }

  func answer(_ index: Int, _ value: Int32) { steps[index].value = value }

  func seal() {
    precondition(!isSealed && !steps.isEmpty, "a request is begun once, with at least one step")
    isSealed = true
  }

  func finish() {
    isDone = true
    kept.removeAll(keepingCapacity: true)
    if let waiter {
      self.waiter = nil
      waiter.resume()
    }
  }

  func reset() {
    precondition(isDone || !isSealed, "a running request cannot be used again")
    steps.removeAll(keepingCapacity: true)
    kept.removeAll(keepingCapacity: true)
    operandBytes = 0
    refused = nil
    isSealed = false
    isDone = false
    isForgotten = false
    isSubmitted = false
    stepsDone = 0
  }

  private func append(_ step: Step) {
    precondition(!isSealed && steps.count < Self.stepsMax, "a chain has at most \(Self.stepsMax) steps")
    steps.append(step)
  }

  /// Copies bytes into the request, NUL behind them. What the kernel could not understand is remembered as refused.
  private func operand(_ bytes: [UInt8], isText: Bool = true) -> UnsafePointer<CChar> {
    let start = operands + operandBytes
    guard bytes.count + 1 <= Self.operandBytesMax - operandBytes else {
      refused = ENAMETOOLONG
      return UnsafePointer(operands)
    }
    if isText, bytes.contains(0) { refused = EINVAL }
    for (index, byte) in bytes.enumerated() { start[index] = CChar(bitPattern: byte) }
    start[bytes.count] = 0
    operandBytes += bytes.count + 1
    return UnsafePointer(start)
  }
}

/// How a path may be resolved (openat2). Every open of an object uses `.beneath`.
public enum ResolveRule {
  /// Never leaves the directory, follows no link anywhere on the path.
  public static let beneath = UInt64(RESOLVE_BENEATH) | UInt64(RESOLVE_NO_SYMLINKS)
}
