// What a location's turn does: paths that changed first (they are few and fresh), then the running walk, then the next
// one: the listing that is due, directories that appeared, the sweep for copies without a source.

internal import PipelineCore
internal import Reactor

extension LocationEnqueuer {
  /// Bounded work. - Returns: true if there is more to do at once.
  func work(_ reactor: Reactor) -> Bool {
    let looked = lookAtChanges(reactor)
    if walk == nil { walk = nextWalk(reactor) }
    if let walk { step(walk, reactor) }
    return walk != nil || looked == around.tuning.entriesPerTurnMax || hasNextWalk(reactor)
  }

  // MARK: Changes

  private func lookAtChanges(_ reactor: Reactor) -> Int {
    var looked = 0
    while looked < around.tuning.entriesPerTurnMax, subtreesQueued.count < Self.subtreesQueuedMax,
      let item = dirty.takeDue(now: reactor.now)
    {
      looked += 1
      switch item.kind {
      case .entry: look(at: item.path)
      case .subtree: subtreesQueued.append(item.path)
      case .lostSubtree: lose(item.path, reactor)
      }
    }
    return looked
  }

  private func look(at path: String) {
    switch around.source.entry(at: path) {
    case .file(let file): consider(file)
    case .directory: break  // it has an event of its own
    case .other, .gone: if let object = around.naming.object(at: path) { considerGone(object) }
    case .failed(let error):
      let reason = TreeFailureReason.unreadable(code: error.code, call: error.call)
      around.outbox.report(.failed(location: index, TreeFailure(path: PrintableName.of(path), reason: reason)))
    }
  }

  private func lose(_ path: String, _ reactor: Reactor) {
    guard copies != nil else { return }
    guard lostQueued.count < Self.subtreesQueuedMax else { return listAgain(reactor) }
    lostQueued.insert(path)
  }

  // MARK: Walks

  private func hasNextWalk(_ reactor: Reactor) -> Bool {
    listingDue.map { $0 <= reactor.now } ?? false || !subtreesQueued.isEmpty || !lostQueued.isEmpty || sweepsEverything
  }

  private func nextWalk(_ reactor: Reactor) -> RunningWalk? {
    if let due = listingDue, due <= reactor.now { return beginListing(reactor) }
    if let path = subtreesQueued.popLast() {
      return RunningWalk(walker: sourceWalker(under: path), purpose: .subtree)
    }
    guard let copies, sweepsEverything || !lostQueued.isEmpty else { return nil }
    let below = sweepsEverything ? nil : lostQueued
    sweepsEverything = false
    lostQueued = []
    let options = TreeWalker.Options(reservedAtRoot: around.walkOptions.reservedAtRoot)
    return RunningWalk(walker: TreeWalker(root: copies, options: options), purpose: .sweep(below: below))
  }

  private func beginListing(_ reactor: Reactor) -> RunningWalk {
    listingDue = nil
    lastListingBegan = reactor.now
    status.phase = .listing
    unwatched = 0
    // It finds whatever those would have told.
    subtreesQueued = []
    return RunningWalk(walker: sourceWalker(under: ""), purpose: .listing(beganAtMs: WallClock.nowMs()))
  }

  private func sourceWalker(under path: String) -> TreeWalker {
    let walker = TreeWalker(root: around.source, under: path, options: around.walkOptions)
    walker.onDirectory = { [unowned self] fd, path in
      if around.watcher?.watch(directory: fd, path: path) != true { unwatched += 1 }
    }
    return walker
  }

  private func step(_ running: RunningWalk, _ reactor: Reactor) {
    let progress = running.walker.step(entriesMax: around.tuning.entriesPerTurnMax) { item in
      switch (running.purpose, item) {
      case (.sweep(let below), .file(let copy)): sweep(copy, below: below)
      case (.sweep, .failure): break  // an unreadable copy is left alone
      case (_, .file(let file)): consider(file)
      case (_, .failure(let failure)): around.outbox.report(.failed(location: index, failure))
      }
    }
    guard progress == .finished else { return }
    walk = nil
    switch running.purpose {
    case .listing(let beganAtMs): finishListing(running.walker.counts, beganAtMs: beganAtMs, reactor)
    case .subtree: if unwatched > 0 { relistAtIntervals(reactor) }
    case .sweep: break
    }
  }

  private func finishListing(_ counts: TreeCounts, beganAtMs: Int64, _ reactor: Reactor) {
    status.counts = counts
    status.listingsCompleted += 1
    status.phase = .following
    around.outbox.report(.listed(location: index, beganAtMs: beganAtMs, counts))
    status.followsByEvents = unwatched == 0
    if unwatched > 0 { relistAtIntervals(reactor) }
    guard copies != nil else { return }
    status.deletesWithheld = reasonAgainstSweep(counts)
    if status.deletesWithheld == nil { sweepsEverything = true }
  }

  private func relistAtIntervals(_ reactor: Reactor) {
    status.followsByEvents = false
    let next = reactor.now + around.tuning.relistInterval
    listingDue = min(listingDue ?? next, next)
    let seconds = around.tuning.relistInterval.components.seconds
    around.outbox.sayOnce(
      "some directories of \(around.source.path) cannot be watched (fs.inotify.max_user_watches): "
        + "the source is listed again every \(seconds) s instead")
  }

  // MARK: Deletes

  /// A listing may only speak for what is not there if it saw everything, and an empty source is more likely an
  /// unmounted one.
  private func reasonAgainstSweep(_ counts: TreeCounts) -> String? {
    if counts.failures > 0 { return "\(counts.failures) paths of the source could not be read" }
    if counts.files == 0 { return "the source is empty" }
    if !around.source.isLinked { return Self.sourceRemoved }
    return nil
  }

  /// A file of the location's tree: its object goes if it is our copy and its source is not there (any more).
  private func sweep(_ copy: WalkedFile, below: Set<String>?) {
    guard let object = probe.object(ofCopyAt: copy.path), let path = around.naming.path(of: object) else { return }
    if let below, !DirtyPaths.ancestors(of: path).contains(where: { below.contains($0) }) { return }
    switch around.source.entry(at: path) {
    case .gone, .other, .directory: considerGone(object)
    case .file, .failed: break
    }
  }
}
