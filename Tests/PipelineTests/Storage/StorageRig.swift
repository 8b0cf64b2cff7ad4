// What the storage tests share: a worker with its parts, sources that are not files, file operations that fail or stop at a
// chosen step, mounts.
internal import CLinux
internal import Glibc
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

/// One worker's parts. Made and used on the worker's thread.
final class StorageRig {
  let files: any FileOperations
  let pool: BlockPool
  let location: FileLocation
  let destination: FileDestination
  let replicator: Replicator
  let site: String

  init(
    from source: (any ObjectSource)? = nil, _ sourcePath: String, to targetPath: String, site: String = "b",
    layout: FileLocation.Layout = .sameTree, files: any FileOperations, blocks: Int = 32,
    note: @escaping @Sendable (String) -> Void = { _ in }
  ) throws {
    self.files = files
    self.site = site
    pool = BlockPool(blocksMax: blocks)
    location = try FileLocation.openTarget(targetPath, layout: layout, note: note)
    destination = FileDestination(location: location, files: files, pool: pool)
    let fileSource = FileSource(
      location: try FileLocation.openSource(sourcePath, layout: .sameTree), files: files, pool: pool)
    replicator = Replicator(source: source ?? fileSource, destination: destination)
  }

  func request(_ key: String, _ change: (inout ObjectRequest) -> Void = { _ in }) -> ObjectRequest {
    var request = ObjectRequest(site: site, bucket: "bkt", key: key)
    change(&request)
    return request
  }

  func replicate(_ key: String, _ change: (inout ObjectRequest) -> Void = { _ in }) async -> ReplicationOutcome {
    await replicator.replicate(request(key, change))
  }
}

/// Runs `body` on a worker of its own; whatever it forgot to wait for has ended when this returns.
func onWorker<Value: Sendable>(
  _ mode: FileOperationsMode, _ body: @escaping @Sendable (any FileOperations) async throws -> Value
) async throws -> Value {
  let worker = try ReactorWorker()
  defer { worker.end() }
  return try await worker.run { reactor in
    let files = reactor.makeFileOperations(mode: mode)
    defer { files.close() }
    return try await body(files)
  }
}

extension ReplicationOutcome {
  var reason: StoreError.Reason? { if case .failed(let error) = self { error.reason } else { nil } }
  var isCopied: Bool { if case .copied = self { true } else { false } }
  var isAdopted: Bool { if case .adopted = self { true } else { false } }
  var isSkipped: Bool { if case .skippedAlreadyThere = self { true } else { false } }
}

/// Two empty trees.
final class Trees: Sendable {
  let source: TestTree
  let target: TestTree

  init(targetIn parent: String = "/tmp") {
    source = TestTree()
    target = TestTree(in: parent)
  }

  /// The target's files without ours.
  var copies: [String] { target.files().filter { !$0.hasPrefix(".downbeat/") } }
  var temporaries: [String] { TestTree.names(target.path + "/.downbeat/tmp") }

  /// An age at which no file is too young to be read.
  func age(_ name: String, seconds: Int = 1_700_000_000, ns: Int = 123_456_789) {
    var times = [timespec](repeating: timespec(tv_sec: seconds, tv_nsec: ns), count: 2)
    utimensat(Int32(-100), "\(source.path)/\(name)", &times, 0)
  }

  func write(_ name: String, _ bytes: [UInt8], aged seconds: Int = 1_700_000_000) {
    source.write(name, bytes)
    age(name, seconds: seconds)
  }

  func write(_ name: String, _ text: String, aged seconds: Int = 1_700_000_000) { write(name, Array(text.utf8), aged: seconds) }
}

func facts(_ path: String) -> stat? {
  var facts = stat()
  return lstat(path, &facts) == 0 ? facts : nil
}

func attribute(_ path: String, _ name: String) -> String? {
  var bytes = [UInt8](repeating: 0, count: 4_096)
  let count = getxattr(path, name, &bytes, bytes.count)
  return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
}

/// A file system of its own under a fresh directory; nil, with the reason printed, where mounting is not permitted.
final class Mount: Sendable {
  let directory = TestTree()
  var path: String { directory.path }

  init?(_ type: String, _ options: String = "") {
    guard mount("none", directory.path, type, 0, options) == 0 else {
      print("skipped: cannot mount \(type): \(Errno.last("mount"))")
      return nil
    }
  }

  deinit { umount2(directory.path, Int32(2)) }

  // MS_REMOUNT, MS_RDONLY.
  func remount(readOnly: Bool) -> Bool {
    mount("none", path, nil, UInt(32) | UInt(readOnly ? 1 : 0), nil) == 0
  }
}

/// Objects that are no files: versions, keys no file can have, contents that lie.
final class MemorySource: ObjectSource {
  var objects: [String: (info: ObjectInfo, bytes: [UInt8])] = [:]
  /// Called before each block is handed out.
  var beforeBlock: () -> Void = {}

  func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody {
    guard let object = objects[request.key] else { throw StoreError(.sourceNotFound, isRetryable: false, request.key) }
    return MemoryBody(object.bytes, info: object.info) { [beforeBlock] _ in beforeBlock() }
  }

  func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool { objects[request.key] != nil }

  func set(_ key: String, _ text: String, modifiedNs: Int64? = nil) {
    objects[key] = (ObjectInfo(size: Int64(text.utf8.count), modifiedNs: modifiedNs), Array(text.utf8))
  }
}

final class MemoryBody: ObjectBody {
  let info: ObjectInfo
  // The test's own pool of one: the destination must have let go of the block before.
  let hasBuffer = false
  private var rest: ArraySlice<UInt8>
  private var number = 0
  private let pool = BlockPool(blocksMax: 1)
  private let before: (Int) async throws(StoreError) -> Void

  /// - Parameter before: called before each block is handed out, with its number.
  init(
    _ bytes: [UInt8], info: ObjectInfo? = nil, before: @escaping (Int) async throws(StoreError) -> Void = { (_) async throws(StoreError) in }
  ) {
    self.info = info ?? ObjectInfo(size: Int64(bytes.count))
    rest = bytes[...]
    self.before = before
  }

  func next() async throws(StoreError) -> Block? {
    guard !rest.isEmpty else { return nil }
    try await before(number)
    number += 1
    let block = await pool.take()
    block.count = min(rest.count, block.bytes.count)
    block.bytes.copyBytes(from: rest.prefix(block.count))
    rest = rest.dropFirst(block.count)
    return block
  }

  func close() {}
}

/// Plain calls at once, of which a test can make some fail, or all from a step on: a process that died there.
final class FaultyFileOperations: FileOperations {
  let reason: String? = "test"
  let isClosed = false
  let runningCount = 0
  /// The errno to answer with instead of carrying out this step; nil: carry it out.
  var fault: (FileRequest.Kind) -> Int32? = { _ in nil }
  private(set) var steps = 0
  /// From this step on nothing is carried out any more.
  var diesAt = Int.max

  func request() -> FileRequest { FileRequest() }
  func recycle(_ request: FileRequest) {}
  func close() {}

  func begin(_ request: FileRequest) {
    request.seal()
    request.isSubmitted = true
    var isCancelled = false
    for index in 0..<request.count {
      request.answer(index, isCancelled ? -ECANCELED : answer(request, index))
      isCancelled = isCancelled || (request.steps[index].link == .onSuccess && !request.didSucceed(index))
    }
    request.finish()
  }

  private func answer(_ request: FileRequest, _ index: Int) -> Int32 {
    // Descriptors are given back by a dead process too.
    if request.steps[index].kind == .close { return request.runStepPlainly(index) }
    steps += 1
    if steps > diesAt { return -EIO }
    if let code = fault(request.steps[index].kind) { return -code }
    return request.runStepPlainly(index)
  }
}

/// Copies the keys with a number of tasks at once, all on the rig's worker. - Returns: how many were copied.
func copyAll(_ rig: StorageRig, _ keys: [String], atOnce: Int) async -> Int {
  await Lanes(rig: SameThread(value: rig), handle: Reactor.current!.handle).run(keys, atOnce: atOnce)
}

/// Asks for syncs of the root from many tasks at once. - Returns: how many answered 0.
func syncAll(_ syncs: DirectorySync, count: Int) async -> Int {
  await SyncLanes(syncs: SameThread(value: syncs), handle: Reactor.current!.handle).run(count)
}

private actor SyncLanes {
  private let handle: ReactorHandle
  private let syncs: SameThread<DirectorySync>
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  init(syncs: SameThread<DirectorySync>, handle: ReactorHandle) {
    self.syncs = syncs
    self.handle = handle
  }

  func run(_ count: Int) async -> Int {
    let executor = handle.executor
    return await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<count { group.addTask(executorPreference: executor) { await self.one() } }
      var good = 0
      for await isGood in group where isGood { good += 1 }
      return good
    }
  }

  private func one() async -> Bool { await syncs.value.sync([]) == 0 }
}

/// Says that a value stays on the thread it was made on, whatever actor holds it.
// Unchecked: the actors that get one run on that thread's reactor.
private struct SameThread<Value>: @unchecked Sendable { let value: Value }

private actor Lanes {
  private let handle: ReactorHandle
  private let rig: SameThread<StorageRig>
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  init(rig: SameThread<StorageRig>, handle: ReactorHandle) {
    self.rig = rig
    self.handle = handle
  }

  func run(_ keys: [String], atOnce: Int) async -> Int {
    let executor = handle.executor
    return await withTaskGroup(of: Bool.self) { group in
      var copied = 0
      for (index, key) in keys.enumerated() {
        if index >= atOnce, await group.next() == true { copied += 1 }
        group.addTask(executorPreference: executor) { await self.copy(key) }
      }
      for await isCopied in group where isCopied { copied += 1 }
      return copied
    }
  }

  private func copy(_ key: String) async -> Bool { await rig.value.replicate(key).isCopied }
}
