internal import Pipeline
final class QuickstartDisplay {
  init() {}
  func begin(source: String, targets: [(name: String, path: String)], notes: [String], address: String, once: Bool) {}
  func update(_ progress: [QuickstartProgress], elapsed: Duration) {}
  func summary(_ progress: [QuickstartProgress], elapsed: Duration, layout: QuickstartLayout, force: Bool) -> Bool { for p in progress { print(p) }; return true }
}
struct QuickstartProgress { var name: String; var isPaused: Bool; var isListing: Bool; var objects: UInt64; var bytes: Int64; var upToDate: UInt64; var enqueued: UInt64; var finished: UInt64; var skipped: Int64; var failed: Int; var isComplete: Bool }
