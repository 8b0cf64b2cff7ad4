// Proof after a quickstart: every regular file of the source is in each target, with the same size, time and bytes and the
// digest that was recorded when it was copied, and nothing else is there except what is ours to keep and what is not ours.
//
// It reads everything again, both sides, block by block; the source once for all targets. In bounded steps and memory, on
// a thread that may block. It changes nothing and believes no record: a record is compared, never used instead of bytes.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// What was found at one location.
public struct VerificationResult: Hashable, Sendable {
  /// Lines kept of what is wrong; the counters go on.
  public static let examplesMax = 20

  public var identical: Int64 = 0
  public var identicalBytes: Int64 = 0
  /// Of the source, and not there.
  public var missing: Int64 = 0
  /// There with another size, time, content or recorded digest.
  public var differing: Int64 = 0
  /// On either side, and not readable.
  public var unreadable: Int64 = 0
  /// The source changed while it was compared: the next run tells.
  public var changedMeanwhile: Int64 = 0
  /// Copies of ours whose source is gone (kept without --delete).
  public var kept: Int64 = 0
  /// Files, links and others that are not ours.
  public var foreign: Int64 = 0
  /// The first of what is wrong: path and why.
  public var examples: [String] = []

  public init() {}

  /// Everything of the source is there, byte for byte.
  public var isIdentical: Bool { missing == 0 && differing == 0 && unreadable == 0 }
}

/// One location as the verifier sees it.
public struct VerifiedLocation: Sendable {
  public var name: String
  /// Root of its tree.
  public var path: String
  /// Called once, on the verifier's thread.
  public var makeProbe: @Sendable () throws -> any CopyProbe

  public init(name: String, path: String, makeProbe: @escaping @Sendable () throws -> any CopyProbe) {
    self.name = name
    self.path = path
    self.makeProbe = makeProbe
  }
}

/// Verifies one source against its locations, once.
public final class TreeVerifier {
  /// Bytes compared in one step, all targets together, beyond the one block that may be begun.
  public static let bytesPerStepMax = 16 << 20
  static let entriesPerStepMax = 64

  struct Copies {
    let name: String
    let root: TreeRoot
    let probe: any CopyProbe
  }

  private enum Stage {
    case source(TreeWalker)
    case target(Int, TreeWalker)
    case done
  }

  public private(set) var results: [VerificationResult]
  /// Of the source, so far.
  public private(set) var filesDone: Int64 = 0
  public private(set) var bytesDone: Int64 = 0

  private let source: TreeRoot
  private let naming: SourceNaming
  private let reserved: Set<String>
  private let copies: [Copies]
  private var stage: Stage
  private var queue: [WalkedFile] = []
  private var comparison: FileComparison?
  private let buffers = ComparisonBuffers()

  /// - Parameter refused: directories the source walk must not enter, as for the populator.
  public init(
    sourcePath: String, naming: SourceNaming, locations: [VerifiedLocation], reservedAtRoot: Set<String> = [".downbeat"],
    refused: Set<FileIdentity> = []
  ) throws {
    source = try TreeRoot(path: sourcePath)
    self.naming = naming
    reserved = reservedAtRoot
    var copies: [Copies] = []
    for location in locations {
      copies.append(
        Copies(name: location.name, root: try TreeRoot(path: location.path), probe: try location.makeProbe()))
    }
    self.copies = copies
    results = copies.map { _ in VerificationResult() }
    stage = .source(TreeWalker(root: source, options: .init(reservedAtRoot: reservedAtRoot, refused: refused)))
  }

  /// Goes on, for a bounded time unless the disk is slow. - Returns: false when everything was verified.
  /// - Thread: the owner's. - Blocking: yes.
  public func step() -> Bool {
    var budget = Self.bytesPerStepMax
    while budget > 0 {
      if comparison != nil {
        budget -= compareOn()
      } else if let file = queue.popLast() {
        begin(file)
      } else {
        return walkOn()
      }
    }
    return true
  }

  // MARK: Walking

  private func walkOn() -> Bool {
    switch stage {
    case .source(let walker):
      let progress = walker.step(entriesMax: Self.entriesPerStepMax) { item in
        switch item {
        case .file(let file): queue.append(file)
        case .failure(let failure): for index in copies.indices { note(index, \.unreadable, failure.message) }
        }
      }
      if progress == .finished, queue.isEmpty { enterTarget(0) }
      return true
    case .target(let index, let walker):
      let progress = walker.step(entriesMax: Self.entriesPerStepMax) { item in
        switch item {
        case .file(let copy): judge(copy.path, index)
        case .failure(let failure): note(index, \.unreadable, "\(copies[index].name): \(failure.message)")
        }
      }
      guard progress == .finished else { return true }
      let others = walker.counts
      results[index].foreign += others.skipped - others[.reserved]
      enterTarget(index + 1)
      return true
    case .done: return false
    }
  }

  private func enterTarget(_ index: Int) {
    guard index < copies.count else {
      stage = .done
      return
    }
    stage = .target(index, TreeWalker(root: copies[index].root, options: .init(reservedAtRoot: reserved)))
  }

  /// A file of the target: it was compared if its source is there, else it is a copy without a source, or not ours.
  private func judge(_ path: String, _ index: Int) {
    guard let object = copies[index].probe.object(ofCopyAt: path) else {
      // Not ours although the source has it: the comparison has said so already.
      if case .file = source.entry(at: path) { return }
      results[index].foreign += 1
      return
    }
    guard let sourcePath = naming.path(of: object), case .file = source.entry(at: sourcePath) else {
      results[index].kept += 1
      return
    }
  }

  // MARK: Comparing

  private func begin(_ file: WalkedFile) {
    buffers.md5.start()
    do throws(Errno) {
      comparison = FileComparison(file, source: try source.openFile(file.path))
    } catch {
      filesDone += 1
      if error.code == ENOENT { return }
      for index in copies.indices { note(index, \.unreadable, "\(PrintableName.of(file.path)): \(error)") }
      return
    }
    for index in copies.indices { open(file, index) }
  }

  private func open(_ file: WalkedFile, _ index: Int) {
    guard let object = naming.object(at: file.path) else { return }
    switch copies[index].root.entry(at: copies[index].probe.path(ofCopyOf: object) ?? file.path) {
    case .file(let copy):
      guard copy.size == file.size else { return wrong(index, file, \.differing, "\(copy.size) bytes instead of \(file.size)") }
      guard Self.isSameTime(copy.modifiedNs, file.modifiedNs) else {
        return wrong(index, file, \.differing, "another modification time")
      }
      do throws(Errno) {
        let file = try copies[index].root.openFile(copy.path)
        comparison?.add(index, file, recorded: copies[index].probe.recordedMD5(ofCopyAt: copy.path))
      } catch {
        wrong(index, file, \.unreadable, "\(error)")
      }
    case .gone: wrong(index, file, \.missing, "not there")
    case .directory, .other: wrong(index, file, \.differing, "no regular file")
    case .failed(let error): wrong(index, file, \.unreadable, "\(error)")
    }
  }

  /// File systems that keep whole or even seconds only cut the rest off.
  private static func isSameTime(_ copy: Int64, _ source: Int64) -> Bool {
    copy == source || (copy % 1_000_000_000 == 0 && copy <= source && source - copy < 2_000_000_000)
  }

  /// One block on both sides. - Returns: bytes read.
  private func compareOn() -> Int {
    guard let running = comparison else { return 0 }
    switch running.advance(buffers) {
    case .more(let bytes, let different):
      bytesDone += Int64(bytes)
      for (index, why) in different { wrong(index, running.file, \.differing, why) }
      return bytes * (1 + running.copyCount)
    case .finished:
      finish(running)
    case .failed(let error):
      for index in running.indices { wrong(index, running.file, \.unreadable, "\(error)") }
      close()
    }
    return 0
  }

  private func finish(_ running: FileComparison) {
    let isComplete = running.offset == running.file.size
    let wrongRecords = running.wrongRecords(buffers)
    for index in running.indices {
      guard isComplete else {
        wrong(index, running.file, \.differing, "\(running.offset) bytes could be read instead of \(running.file.size)")
        continue
      }
      guard !wrongRecords.contains(index) else {
        wrong(index, running.file, \.differing, "the bytes are the same, but not the MD5 noted when they were copied")
        continue
      }
      results[index].identical += 1
      results[index].identicalBytes += running.file.size
    }
    close()
  }

  private func close() {
    comparison = nil
    filesDone += 1
  }

  // MARK: Noting

  /// Something differs: unless it is the source that changed since it was looked at.
  private func wrong(_ index: Int, _ file: WalkedFile, _ counter: WritableKeyPath<VerificationResult, Int64>, _ why: String) {
    if case .file(let now) = source.entry(at: file.path), now == file {
      note(index, counter, "\(copies[index].name): \(PrintableName.of(file.path)): \(why)")
    } else {
      results[index].changedMeanwhile += 1
    }
  }

  private func note(_ index: Int, _ counter: WritableKeyPath<VerificationResult, Int64>, _ line: String) {
    results[index][keyPath: counter] += 1
    if results[index].examples.count < VerificationResult.examplesMax { results[index].examples.append(line) }
  }
}
