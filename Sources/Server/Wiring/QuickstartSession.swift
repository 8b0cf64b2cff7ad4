// One quickstart from its first listing to its exit code: watches the node, decides when everything is copied, and has
// the console show it. The order of the end: `--once` verifies while the node still runs, then stops it; a signal stops
// the node first and shows what was reached.
internal import HTTP
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class QuickstartSession {
  static let checkInterval = Duration.milliseconds(50)
  /// A terminal that takes nothing more must not keep the process.
  static let lastWordsMax = Duration.seconds(2)

  private enum End {
    case none
    /// `--once`: everything is COMPLETED or FAILED, the verification runs.
    case verifying
    case finished(QuickstartConsole.Verdict)
    case interrupted
  }

  private let node: ReplicationNode
  private let layout: QuickstartLayout
  private let options: QuickstartOptions
  /// Written on T0, read by the console's thread.
  private final class Board: Sendable { let progress = Lock<[LocationProgress]>([]) }
  private let board = Board()
  private let start = Instant.nowUncached()
  private var console: QuickstartConsole?
  private var end = End.none
  private var failedCount = 0

  init(node: ReplicationNode, layout: QuickstartLayout, options: QuickstartOptions) {
    self.node = node
    self.layout = layout
    self.options = options
  }

  // MARK: Course

  /// - Errors: no thread for the console.
  func begin() throws(NodeFailure) {
    let address = node.listener.map { $0.address.description } ?? ""
    do throws(Errno) {
      console = try QuickstartConsole(hint: ResumeHint(apiURL: "http://\(address)")) { [board] in
        board.progress.withLock { $0 }
      }
    } catch {
      throw NodeFailure("console: \(error)")
    }
    console?.say("\(layout.source) -> \(layout.locations.map { "\($0.name) (\($0.path))" }.joined(separator: ", "))")
    console?.say("API on http://\(address)  (try: curl http://\(address)/_/crr/status)")
    for note in layout.notes { console?.say(note) }
    if !options.once { console?.say("following changes; Ctrl-C ends") }
    check(node.reactor)
  }

  /// A signal.
  func interrupted() {
    switch end {
    case .none, .finished: end = .interrupted
    case .verifying:
      console?.cancel()
      end = .interrupted
    case .interrupted: break
    }
    node.stop(reason: "interrupted")
  }

  private func check(_ reactor: Reactor) {
    guard case .none = end else { return }
    board.progress.withLock { $0 = node.locations.map(progress) }
    if options.once, node.failureWrites.openCount == 0, node.locations.allSatisfy(isComplete) { return verify() }
    reactor.schedule(after: Self.checkInterval) { [unowned self] in self.check($0) }
  }

  private func isComplete(_ location: LocationController) -> Bool {
    guard let status = node.served.feeds.status(of: location.site) else { return false }
    return status.listingsCompleted > 0 && status.isSettled && location.inFlightCount == 0 && location.effective == .enabled
  }

  private func verify() {
    end = .verifying
    let (source, naming) = (layout.source, SourceNaming.oneBucket(layout.bucket))
    let refused = Set(layout.locations.map(\.identity))
    let verified = zip(layout.locations, node.served.populated).map {
      VerifiedLocation(name: $0.name, path: $0.path, makeProbe: $1.makeProbe)
    }
    let expected = node.served.feeds.status(of: layout.locations[0].name)?.counts.files ?? 0
    show(
      verify: { try TreeVerifier(sourcePath: source, naming: naming, locations: verified, refused: refused) },
      filesExpected: expected
    ) { [weak self] verdict in
      guard let self else { return }
      if case .verifying = self.end { self.end = .finished(verdict) }
      self.node.stop(reason: "everything is replicated")
    }
  }

  /// Everything of the node has ended; the reactor still runs.
  func nodeEnded() {
    let reactor = node.reactor
    guard case .interrupted = end else { return reactor.stop() }
    reactor.schedule(after: Self.lastWordsMax) { $0.stop() }
    show(verify: nil, filesExpected: 0) { _ in reactor.stop() }
  }

  // MARK: Showing

  /// Collects the failures, prints the summary and verifies; answers on T0.
  private func show(
    verify: (@Sendable () throws -> TreeVerifier)?, filesExpected: Int64,
    _ completion: @escaping (QuickstartConsole.Verdict) -> Void
  ) {
    let progress = node.locations.map(progress)
    failedCount = Int(progress.map(\.failedObjects).reduce(0, +))
    let handle = node.reactor.handle
    let answer = VerdictBox(completion)
    let curtain = Curtain(
      elapsed: Instant.nowUncached() - start, progress: progress,
      lists: layout.locations.map { .init(name: $0.name, statePath: $0.statePath, list: node.served.failedLists?.list(of: $0.name)) },
      notes: node.locations.compactMap { node.served.feeds.status(of: $0.site)?.deletesWithheld }, verify: verify,
      filesExpected: filesExpected)
    guard let console else { return completion(.notAsked) }
    Task.detached(executorPreference: handle.executor) {
      let ending = await curtain.ending()
      console.finish(ending) { verdict in handle.post { _ in answer.give(verdict) } }
    }
  }

  /// What the last words are made from.
  private struct Curtain: Sendable {
    struct List: Sendable {
      var name: String
      var statePath: String
      var list: FailedList?
    }
    var elapsed: Duration
    var progress: [LocationProgress]
    var lists: [List]
    var notes: [String]
    var verify: (@Sendable () throws -> TreeVerifier)?
    var filesExpected: Int64

    func ending() async -> QuickstartConsole.Ending {
      var failures: [QuickstartSummary.Failures] = []
      for entry in lists {
        guard let list = entry.list, list.count > 0 else { continue }
        let records = await QuickstartSession.records(list)
        failures.append(QuickstartSummary.Failures(location: entry.name, records: records, statePath: entry.statePath))
      }
      let summary = QuickstartSummary(elapsed: elapsed, locations: progress, failures: failures, notes: notes)
      return QuickstartConsole.Ending(summary: summary, verify: verify, filesExpected: filesExpected)
    }
  }

  private static func records(_ list: FailedList) async -> [FailedRecord] {
    do {
      return try await list.page().records
    } catch {
      return []  // the count is shown all the same, and where the list is
    }
  }

  /// A completion that must run on T0; only posted there.
  private final class VerdictBox: @unchecked Sendable {  // called once, on T0
    private let completion: (QuickstartConsole.Verdict) -> Void
    init(_ completion: @escaping (QuickstartConsole.Verdict) -> Void) { self.completion = completion }
    func give(_ verdict: QuickstartConsole.Verdict) { completion(verdict) }
  }

  private func progress(_ location: LocationController) -> LocationProgress {
    let status = node.served.feeds.status(of: location.site) ?? PopulatorStatus()
    let counters = location.counters
    var progress = LocationProgress(name: location.site)
    progress.isPaused = location.isPausedByDesire == true
    progress.isListing = status.listingsCompleted == 0
    progress.foundObjects = status.counts.files
    progress.foundBytes = status.counts.bytes
    progress.upToDateObjects = status.upToDateObjects
    progress.enqueuedObjects = status.enqueuedObjects
    progress.completedObjects = Int64(counters.done + counters.alreadyThere) - min(status.enqueuedDeletes, Int64(counters.done))
    progress.completedBytes = counters.bytes
    progress.deletedObjects = status.enqueuedDeletes
    progress.failedObjects = Int64(node.served.failedLists?.list(of: location.site)?.count ?? 0)
    progress.skippedEntries = status.counts.skipped
    return progress
  }

  // MARK: Exit

  var exitCode: Int32 {
    console?.stop()
    node.served.failedLists?.stop()
    switch end {
    case .finished(.identical), .finished(.notAsked):
      return failedCount > 0 ? ExitStatus.failed : node.exitCode
    case .finished(.different), .finished(.unfinished): return ExitStatus.failed
    case .interrupted, .verifying, .none: return options.once ? ExitStatus.failed : node.exitCode
    }
  }
}
