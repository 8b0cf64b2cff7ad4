// A location that copies nothing: each task takes a set time, and what starts and ends is written down. For drills and
// measurements: what a slow place does to the others, what a kill repeats, how long an entry is on its way.
//
// A line of the trace is one `write` to a file opened for appending, so lines of several workers and nodes do not mix,
// and one that was written survives the kill of its process. It deliberately is no audit log: nothing is synced.
internal import CLinux
internal import Glibc
public import PipelineCore
internal import Reactor

public struct DrillSettings: Hashable, Sendable {
  /// Each task takes this long; it ends early when it is cancelled.
  public var taskTime: Duration
  /// Where starts and ends are written, one JSON object a line; nil: nowhere.
  public var tracePath: String?

  public init(taskTime: Duration = .zero, tracePath: String? = nil) {
    self.taskTime = taskTime
    self.tracePath = tracePath
  }
}

/// - Thread: one worker's.
public final class DrillReplicator: EntryReplicator {
  private let taskTime: Duration
  /// -1: none.
  private let trace: Int32

  /// - Blocking: opens the trace file.
  /// - Errors: it cannot be opened.
  public init(_ settings: DrillSettings) throws(WorkerLocationError) {
    taskTime = settings.taskTime
    guard let path = settings.tracePath else {
      trace = -1
      return
    }
    trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard trace >= 0 else { throw WorkerLocationError("trace file: \(Errno.last("open \(path)"))") }
  }

  deinit { if trace >= 0 { close(trace) } }

  public func replicate(_ entry: ReplicationEntry) async -> WorkResult {
    note("start", entry)
    if taskTime > .zero { await Reactor.current?.pause(for: taskTime) }
    guard !Task.isCancelled else {
      note("abandoned", entry)
      return WorkResult(.abandoned)
    }
    note("end", entry)
    return WorkResult(.done(bytes: entry.contentLength))
  }

  /// `ns` is CLOCK_MONOTONIC, the same for all processes of a machine.
  private func note(_ what: String, _ entry: ReplicationEntry) {
    guard trace >= 0 else { return }
    var json = JSONWriter(reservingCapacity: 160)
    let now = Instant.nowUncached().ns
    json.beginObject()
    json.name("ns")
    json.int(now)
    json.name("pid")
    json.int(Int64(getpid()))
    json.name("what")
    json.string(what)
    json.name("bucket")
    json.string(entry.bucket)
    json.name("key")
    json.string(entry.key)
    json.name("version")
    json.string(entry.versionId ?? "")
    json.endObject()
    let line = json.bytes + [UInt8(ascii: "\n")]
    // A full disk loses lines of a diagnostic, nothing else.
    _ = line.withUnsafeBytes { write(trace, $0.baseAddress, $0.count) }
  }
}
