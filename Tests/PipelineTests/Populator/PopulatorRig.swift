// A populator on a real tree, with the rest of the pipeline in miniature: topics are arrays, the "worker" copies the file
// with its modification time, and the offset is committed at once. Everything runs on the test's own reactor; only the
// lister has its thread. The test decides when a location consumes.
import CLinux
import Glibc
import Reactor
import TestSupport

@testable import Pipeline

/// Judges copies by size and time; `*.foreign` files are not ours.
final class RigProbe: CopyProbe {
  let target: String
  init(target: String) { self.target = target }

  func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool {
    guard case .file(let copy)? = entry(key) else { return false }
    return copy.size == file.size && copy.modifiedNs == file.modifiedNs
  }

  func hasCopy(of object: ObjectName) -> Bool {
    guard !object.key.hasSuffix(".foreign"), case .file? = entry(object.key) else { return false }
    return true
  }

  func path(ofCopyOf object: ObjectName) -> String? { object.key }

  func object(ofCopyAt path: String) -> ObjectName? {
    path.hasSuffix(".foreign") ? nil : ObjectName(bucket: "bucket", key: path)
  }

  private func entry(_ key: String) -> TreeEntry? {
    do { return try TreeRoot(path: target).entry(at: key) } catch { return nil }
  }
}

final class PopulatorRig {
  struct Entry {
    var key: String
    var isDelete: Bool
    var token: UInt64
    var offset: Int64
    var cost: Int
  }

  let source: TempTree
  let targets: [TempTree]
  let reactor: Reactor
  let populator: EmbeddedPopulator
  private(set) var port: EnqueuePort!
  private let partitionCount: Int

  /// Locations that consume now.
  var consuming: Set<Int>
  /// Entries consumed per turn and location.
  var consumeMax = 1_000
  /// Deliveries that fail before the broker takes any.
  var failingDeliveries = 0
  /// False: entries are committed without copying anything.
  var copies = true
  /// False: what was consumed is forgotten.
  var keepsConsumed = true
  private(set) var consumed: [[Entry]]
  private(set) var events: [PopulatorEvent] = []
  /// Most unconsumed bytes seen in any partition.
  private(set) var unconsumedMax = 0
  private var topics: [[[Entry]]]
  private var nextOffset: [[Int64]]
  private var unconsumedBytes: [[Int]]
  private var undelivered: [(token: UInt64, offset: Int64?)] = []

  init(
    source: TempTree, targets: [TempTree], partitions: Int = 2, paused: Set<Int> = [], deletes: Bool = false,
    tune: (inout EmbeddedPopulator.Configuration) -> Void = { _ in }
  ) throws {
    self.source = source
    self.targets = targets
    partitionCount = partitions
    consuming = Set(targets.indices).subtracting(paused)
    consumed = targets.map { _ in [] }
    topics = targets.map { _ in [[Entry]](repeating: [], count: partitions) }
    nextOffset = targets.map { _ in [Int64](repeating: 0, count: partitions) }
    unconsumedBytes = targets.map { _ in [Int](repeating: 0, count: partitions) }
    reactor = try Reactor(name: "rig")
    let locations = targets.enumerated().map { index, target in
      let path = target.path
      return PopulatedLocation(
        site: "site\(index)", partitionCount: partitions, isPaused: paused.contains(index),
        deletesFrom: deletes ? path : nil, makeProbe: { RigProbe(target: path) })
    }
    var configuration = EmbeddedPopulator.Configuration(
      sourcePath: source.path, naming: .oneBucket("bucket"), locations: locations)
    tune(&configuration)
    populator = try EmbeddedPopulator(configuration)
    port = EnqueuePort(populator: populator, partitionCounts: targets.map { _ in partitions }) { [unowned self] in produce($0, $1)
    }
    port.start(on: reactor) { [unowned self] _, event in events.append(event) }
  }

  deinit { populator.stop() }

  var statuses: [PopulatorStatus] { populator.statuses }
  var keys: [[String]] { consumed.map { $0.map(\.key) } }
  var failures: [TreeFailure] { events.compactMap { if case .failed(_, let failure) = $0 { failure } else { nil } } }
  var notes: [String] { events.compactMap { if case .note(let text) = $0 { text } else { nil } } }

  /// Turns until every consuming location has settled (or the condition holds).
  func run(within deadline: Duration = .seconds(30), until condition: (() -> Bool)? = nil) -> Bool {
    let condition = condition ?? { self.consuming.allSatisfy { self.statuses[$0].isSettled } }
    return reactor.runUntil(within: deadline) {
      turn()
      return condition()
    }
  }

  func turnOnce() {
    reactor.runOnce(waitMax: .milliseconds(10))
    turn()
  }

  /// Turns until each location's tree is the source's, file for file.
  func runUntilSame(within deadline: Duration = .seconds(30)) -> Bool {
    run(within: deadline) { self.targets.allSatisfy { TreeListing.of($0.path) == TreeListing.of(self.source.path) } }
  }

  private func produce(_ item: EnqueueItem, _ token: UInt64) -> Bool {
    let (location, partition) = (Int(item.location), Int(item.partition))
    if failingDeliveries > 0 {
      failingDeliveries -= 1
      undelivered.append((token, nil))
      return true
    }
    let offset = nextOffset[location][partition]
    nextOffset[location][partition] += 1
    undelivered.append((token, offset))
    let isDelete = String(decoding: item.value, as: UTF8.self).contains("\\\"isDeleteMarker\\\":true")
    let name = percentDecoded(item.key)
    topics[location][partition].append(
      Entry(key: String(name.dropFirst("bucket/".count)), isDelete: isDelete, token: token, offset: offset, cost: item.cost))
    unconsumedBytes[location][partition] += item.cost
    unconsumedMax = max(unconsumedMax, unconsumedBytes[location][partition])
    return true
  }

  private func turn() {
    let reports = undelivered
    undelivered = []
    for (token, offset) in reports { port.delivered(token: token, offset: offset) }
    for location in consuming {
      for partition in 0..<partitionCount { consume(location, partition) }
    }
  }

  private func consume(_ location: Int, _ partition: Int) {
    let batch = topics[location][partition].prefix(consumeMax)
    guard let last = batch.last else { return }
    for entry in batch {
      if keepsConsumed { consumed[location].append(entry) }
      unconsumedBytes[location][partition] -= entry.cost
      if copies { carryOut(entry, location) }
    }
    topics[location][partition].removeFirst(batch.count)
    port.committed(location: location, partition: Int32(partition), next: last.offset + 1)
  }

  private func carryOut(_ entry: Entry, _ location: Int) {
    if entry.isDelete { return targets[location].remove(entry.key) }
    // As a worker does: what is copied is the file as it is now; one that vanished is skipped.
    var facts = stat()
    guard lstat(source.full(entry.key), &facts) == 0, let bytes = source.read(entry.key) else { return }
    targets[location].file(entry.key, bytes: bytes)
    var times = [facts.st_atim, facts.st_mtim]
    utimensat(AT_FDCWD, targets[location].full(entry.key), &times, 0)
  }

  private func percentDecoded(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "%"), at + 2 < bytes.count,
        let value = UInt8(String(decoding: bytes[at + 1...at + 2], as: UTF8.self), radix: 16)
      {
        result.append(value)
        at += 3
      } else {
        result.append(bytes[at])
        at += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}

/// Path → content of every regular file, read with readdir(3).
enum TreeListing {
  static func of(_ root: String, under: String = "") -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    let tree = root + (under.isEmpty ? "" : "/" + under)
    for bytes in TempTree.names(tree) {
      let name = String(decoding: bytes, as: UTF8.self)
      let path = under.isEmpty ? name : under + "/" + name
      var facts = stat()
      guard lstat(root + "/" + path, &facts) == 0 else { continue }
      switch facts.st_mode & S_IFMT {
      case S_IFDIR: found.merge(of(root, under: path)) { a, _ in a }
      case S_IFREG: found[path] = contents(root + "/" + path)
      default: break
      }
    }
    return found
  }

  private static func contents(_ path: String) -> [UInt8] {
    let fd = open(path, O_RDONLY)
    guard fd >= 0 else { return [] }
    defer { close(fd) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = read(fd, &bytes, bytes.count)
    return Array(bytes.prefix(max(0, count)))
  }
}
