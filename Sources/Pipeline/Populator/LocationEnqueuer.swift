// One location's share of the lister: lists the source, looks at what changed, and hands out an entry for every object
// whose copy is not up to date, as fast as the location consumes and no faster.
//
// Each turn does bounded work: send what waits, look at paths that changed, read on in the running walk. It goes to
// sleep when nothing is left, or when the window is full: then the next credit wakes it. Nothing is remembered that
// listing again would not find, so a pause simply drops everything and a resume lists.
//
// Lives on the lister's thread and blocks there (stat, xattr); it never touches Kafka.

internal import Reactor

final class LocationEnqueuer: EventSource, TimerTarget {
  /// Makes the entry of an object; no file means that the object was deleted.
  typealias Encode = (_ object: ObjectName, _ file: WalkedFile?) -> (key: [UInt8], value: [UInt8])

  struct Surroundings {
    var naming: SourceNaming
    var source: TreeRoot
    var walkOptions: TreeWalker.Options
    /// Nil: no inotify handle, so the source is listed at intervals.
    var watcher: SourceWatcher?
    var outbox: ListerOutbox
    var tuning: PopulatorTuning
    var publish: (Int, PopulatorStatus) -> Void
  }

  /// Directories to list or lost directories kept apart from the dirty paths; beyond it those wait where they are.
  static let subtreesQueuedMax = 1_024
  /// Another try when the reactor's inbox was full.
  static let retryInterval: Duration = .milliseconds(20)

  /// Everything below a removed root looks gone, and may be elsewhere.
  static let sourceRemoved = "the source directory was removed"

  enum Purpose {
    /// The whole source.
    case listing(beganAtMs: Int64)
    /// One directory that appeared.
    case subtree
    /// The location's copies, for those whose source is gone; below these source paths, or everywhere (nil).
    case sweep(below: Set<String>?)
  }

  struct RunningWalk {
    let walker: TreeWalker
    let purpose: Purpose
  }

  let index: Int
  let site: String
  let around: Surroundings
  let probe: any CopyProbe
  /// The location's own tree; nil if deletes are not followed.
  let copies: TreeRoot?
  private let followsSeenDeletes: Bool
  let encode: Encode

  var status = PopulatorStatus()
  var dirty: DirtyPaths
  var walk: RunningWalk?
  /// When the source is to be listed (again); nil: not planned.
  var listingDue: Instant?
  var lastListingBegan: Instant?
  var subtreesQueued: [String] = []
  /// Lost directories a sweep has to look for; empty: none.
  var lostQueued: Set<String> = []
  /// A listing has made sure that every copy without a source may go.
  var sweepsEverything = false
  /// Directories of the running listing whose events will not come.
  var unwatched = 0
  private var window: EnqueueWindow
  private var outstanding = OutstandingObjects()
  /// Entries made and not yet sent: one turn's at most.
  private var pending: [(item: EnqueueItem, bytes: Int64?)] = []
  private var pendingAt = 0
  private var token: SourceToken?
  private var timer: (token: TimerToken, at: Instant)?

  init(index: Int, location: PopulatedLocation, around: Surroundings, encode: @escaping Encode) throws {
    self.index = index
    self.around = around
    self.encode = encode
    site = location.site
    probe = try location.makeProbe()
    followsSeenDeletes = location.followsSeenDeletes
    copies = try location.deletesFrom.map { path throws(Errno) in try TreeRoot(path: path) }
    dirty = DirtyPaths(pathsMax: around.tuning.dirtyPathsMax, settle: around.tuning.settle)
    window = EnqueueWindow(partitionCount: location.partitionCount, bytesMax: around.tuning.windowBytesMax)
  }

  func start(on reactor: Reactor, isPaused: Bool) {
    token = reactor.register(source: self)
    if !isPaused { resume(reactor) } else { publish(reactor) }
  }

  // MARK: Told from outside

  /// Drops all plans; what was handed out stays on its way.
  func pause(_ reactor: Reactor) {
    status.phase = .paused
    walk = nil
    listingDue = nil
    subtreesQueued = []
    lostQueued = []
    sweepsEverything = false
    dirty.removeAll()
    for entry in pending[pendingAt...] { outstanding.remove(entry.item.keyHash) }
    pending = []
    pendingAt = 0
    publish(reactor)
  }

  func resume(_ reactor: Reactor) {
    guard status.phase == .paused else { return }
    status.phase = .listing
    listingDue = reactor.now
    wake(reactor)
  }

  func credited(_ credit: EnqueueCredit, _ reactor: Reactor) {
    window.release(partition: Int(credit.partition), bytes: Int(credit.bytes))
    outstanding.remove(credit.keyHash)
    if !credit.wasEnqueued { listAgain(reactor) }
    wake(reactor)
  }

  func saw(_ change: SourceChange, _ reactor: Reactor) {
    let item =
      switch change {
      case .entry(let path): DirtyPaths.Item(path: path, kind: .entry)
      case .directoryAppeared(let path): DirtyPaths.Item(path: path, kind: .subtree)
      case .directoryMovedAway(let path): DirtyPaths.Item(path: path, kind: .lostSubtree)
      }
    note(item, reactor)
  }

  /// Looks at one object now, whatever was known of it (a retry).
  func requeue(_ object: ObjectName, _ reactor: Reactor) {
    if let path = around.naming.path(of: object) { note(DirtyPaths.Item(path: path, kind: .entry), reactor) }
  }

  /// Events were dropped.
  func overflowed(_ reactor: Reactor) {
    guard status.phase != .paused else { return }
    around.outbox.sayOnce(
      "\(around.source.path) changes faster than its events can be read (fs.inotify.max_queued_events): it is listed again")
    listAgain(reactor)
  }

  /// Everything known about changes may be incomplete.
  func listAgain(_ reactor: Reactor) {
    guard status.phase != .paused else { return }
    // A listing that began before the loss does not make up for it: the next one does, but not more often than allowed.
    let soonest = lastListingBegan.map { $0 + around.tuning.relistInterval } ?? reactor.now
    listingDue = min(listingDue ?? soonest, max(soonest, reactor.now))
    wake(reactor)
  }

  private func note(_ item: DirtyPaths.Item, _ reactor: Reactor) {
    guard status.phase != .paused else { return }
    if !dirty.touch(item, now: reactor.now) { listAgain(reactor) }
    wakeLater(reactor)
  }

  // MARK: Turns

  func wake(_ reactor: Reactor) {
    if let token { reactor.markReady(token) }
  }

  func timerFired(_ reactor: Reactor, payload: UInt64) {
    timer = nil
    wake(reactor)
  }

  func runTurn(_ reactor: Reactor) -> Turn {
    defer { publish(reactor) }
    guard status.phase != .paused else { return .idle }
    guard flush(reactor) else { return .idle }
    let hasMore = work(reactor)
    guard flush(reactor) else { return .idle }
    if hasMore { return .again }
    wakeLater(reactor)
    return .idle
  }

  /// Sleeps until the next rested path or the next listing.
  private func wakeLater(_ reactor: Reactor) {
    let next = [dirty.nextDue, walk == nil ? listingDue : nil].compactMap { $0 }.min()
    if let next { arm(at: next, reactor) }
  }

  private func arm(at next: Instant, _ reactor: Reactor) {
    if let timer {
      if timer.at <= next { return }
      reactor.cancel(timer.token)
    }
    timer = (reactor.schedule(at: next, target: self, payload: 0), next)
  }

  // MARK: Handing out

  /// Sends what waits. False if something has to wait on: then a credit or a timer wakes this location.
  private func flush(_ reactor: Reactor) -> Bool {
    guard around.outbox.flushEvents() else {
      arm(at: reactor.now + Self.retryInterval, reactor)
      return false
    }
    while pendingAt < pending.count {
      let (item, bytes) = pending[pendingAt]
      guard window.reserve(partition: Int(item.partition), bytes: item.cost) else { return false }
      guard around.outbox.send(item) else {
        window.release(partition: Int(item.partition), bytes: item.cost)
        arm(at: reactor.now + Self.retryInterval, reactor)
        return false
      }
      pendingAt += 1
      count(bytes)
    }
    pending.removeAll(keepingCapacity: true)
    pendingAt = 0
    return true
  }

  private func count(_ bytes: Int64?) {
    guard let bytes else {
      status.enqueuedDeletes += 1
      return
    }
    status.enqueuedObjects += 1
    status.enqueuedBytes += bytes
  }

  /// A file of the source: enqueued unless its copy is up to date or an entry for just this state is on its way.
  func consider(_ file: WalkedFile) {
    guard let object = around.naming.object(at: file.path) else { return }
    if probe.isUpToDate(bucket: object.bucket, key: object.key, file: file) {
      status.upToDateObjects += 1
      status.upToDateBytes += file.size
      return
    }
    enqueue(object, file)
  }

  /// An object whose file is gone. Only for copies of ours, or copies that an entry on its way may still make.
  func considerGone(_ object: ObjectName) {
    guard followsSeenDeletes else { return }
    guard around.source.isLinked else {
      status.deletesWithheld = Self.sourceRemoved
      return
    }
    let hash = objectKeyHash(EntryForm.messageKey(object))
    guard outstanding.isWaiting(hash) || probe.hasCopy(of: object) else { return }
    enqueue(object, nil)
  }

  private func enqueue(_ object: ObjectName, _ file: WalkedFile?) {
    let (key, value) = encode(object, file)
    let hash = objectKeyHash(key)
    let fingerprint = file.map { OutstandingObjects.Fingerprint($0) } ?? .deleted
    guard !outstanding.holds(hash, fingerprint) else { return }
    outstanding.insert(hash, fingerprint)
    let partition = Int32(truncatingIfNeeded: hash % UInt64(window.partitionCount))
    let item = EnqueueItem(location: Int32(index), partition: partition, key: key, value: value, keyHash: hash)
    pending.append((item, file?.size))
  }

  // MARK: Saying

  private func publish(_ reactor: Reactor) {
    status.unconsumed = outstanding.count
    status.unconsumedBytes = outstanding.bytes
    status.changesWaiting = dirty.count
    if let walk, case .listing = walk.purpose { status.counts = walk.walker.counts }
    let hasListingDue = listingDue.map { $0 <= reactor.now } ?? false
    status.isSettled =
      status.phase == .following && walk == nil && !hasListingDue && dirty.isEmpty && subtreesQueued.isEmpty
      && lostQueued.isEmpty && !sweepsEverything && outstanding.count == 0
    around.publish(index, status)
  }
}
