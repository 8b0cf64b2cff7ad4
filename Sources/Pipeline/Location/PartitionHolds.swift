// Why a partition is paused. Several reasons may hold at once; librdkafka is told only when the first comes or the last
// goes (resuming a running partition makes 2.0.2 fetch again from the network).
internal import PipelineCore

struct PartitionHolds {
  struct Reasons: OptionSet {
    let rawValue: UInt8
    /// The location is paused.
    static let location = Reasons(rawValue: 1)
    /// A key of it is at its cap.
    static let key = Reasons(rawValue: 2)
    /// Its ledger's window is full.
    static let window = Reasons(rawValue: 4)
  }

  private var reasons: [Partition: Reasons] = [:]
  private var told: Set<Partition> = []
  /// Partitions held for their window: asked at each finished entry, so the usual answer must not look anything up.
  private var windowCount = 0

  /// A new assignment: librdkafka starts every partition with the flag that `assign` was given.
  mutating func assign(_ partitions: [Partition], paused: Bool) {
    reasons = Dictionary(partitions.map { ($0, paused ? .location : []) }, uniquingKeysWith: { first, _ in first })
    told = paused ? Set(partitions) : []
    windowCount = 0
  }

  mutating func drop() {
    reasons.removeAll(keepingCapacity: true)
    told.removeAll(keepingCapacity: true)
    windowCount = 0
  }

  mutating func setAll(paused: Bool) {
    for partition in reasons.keys {
      if paused { reasons[partition]?.insert(.location) } else { reasons[partition]?.remove(.location) }
    }
  }

  mutating func insert(_ reason: Reasons, _ partition: Partition) {
    if reasons[partition]?.insert(reason).inserted == true, reason == .window { windowCount += 1 }
  }

  mutating func remove(_ reason: Reasons, _ partition: Partition) {
    if reasons[partition]?.remove(reason) != nil, reason == .window { windowCount -= 1 }
  }

  func isWindowHeld(_ partition: Partition) -> Bool { windowCount > 0 && reasons[partition]?.contains(.window) == true }
  func partitions(heldFor reason: Reasons) -> [Partition] { reasons.filter { $0.value.contains(reason) }.map(\.key) }

  /// What has to be told since the last call.
  mutating func takeChanges() -> (pause: [Partition], resume: [Partition]) {
    var pause: [Partition] = []
    var resume: [Partition] = []
    for (partition, reason) in reasons {
      let isPaused = told.contains(partition)
      if !reason.isEmpty && !isPaused { pause.append(partition) }
      if reason.isEmpty && isPaused { resume.append(partition) }
    }
    told.formUnion(pause)
    told.subtract(resume)
    return (pause.sorted(), resume.sorted())
  }
}
