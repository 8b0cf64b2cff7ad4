// Entries carried out by a replicator, some at a time, as a worker does it.
import PipelineCore

@testable import Pipeline
@testable import Reactor

enum EntrySample {
  /// An entry of a `file` source, which leaves size and MD5 to the copy.
  static func file(bucket: String, key: String, site: String) -> ReplicationEntry {
    let record = ObjectRecord(bucket: bucket, key: key, versionId: nil, lastModified: "2031-02-03T04:05:06.789Z", sites: [site])
    guard case .replicate(let entry) = EntryDecoder.decode(EntryEncoder.populated(record).span, site: nil) else {
      preconditionFailure("our own entries decode")
    }
    return entry
  }
}

actor EntryLanes {
  // Unchecked: this actor runs on the reactor the replicator was made on.
  private struct Held: @unchecked Sendable { let replicator: any EntryReplicator }

  private let handle: ReactorHandle
  private let held: Held
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  private init(_ held: Held, _ handle: ReactorHandle) {
    self.held = held
    self.handle = handle
  }

  /// - Returns: what became of each, in the order they ended: `done`, `there`, or the code of the failure.
  static func run(
    _ replicator: any EntryReplicator, _ entries: [ReplicationEntry], atOnce: Int, handle: ReactorHandle
  ) async -> [String] {
    await EntryLanes(Held(replicator: replicator), handle).run(entries, atOnce)
  }

  private func run(_ entries: [ReplicationEntry], _ atOnce: Int) async -> [String] {
    let executor = handle.executor
    return await withTaskGroup(of: String.self) { group in
      var words: [String] = []
      for (index, entry) in entries.enumerated() {
        if index >= atOnce, let word = await group.next() { words.append(word) }
        group.addTask(executorPreference: executor) { await self.one(entry) }
      }
      for await word in group { words.append(word) }
      return words
    }
  }

  private func one(_ entry: ReplicationEntry) async -> String {
    switch await held.replicator.replicate(entry).outcome {
    case .done: "done"
    case .alreadyThere: "there"
    case .failed(let failure): failure.code
    case .skipped, .deadLetter, .abandoned: "abandoned"
    }
  }
}
