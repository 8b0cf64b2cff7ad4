// Embedded mode's populator: lists the source and follows its changes on a thread of its own (`lister`), and hands out
// entries for each location, bounded by what the location consumes. This is the handle the rest of the process holds;
// everything that blocks stays behind it.
//
// Entries leave through an `Inbox` to the reactor, credits come back through another one (`EnqueuePort` is the reactor's
// end of both). It knows nothing of Kafka, and nothing is lost when it is stopped: the next start lists again.

public import Reactor

public final class EmbeddedPopulator: Sendable {
  public struct Configuration: Sendable {
    /// Directory that is replicated; a real path.
    public var sourcePath: String
    public var naming: SourceNaming
    public var locations: [PopulatedLocation]
    /// Names at the source's root, and at each location's, that are not part of the tree.
    public var reservedAtRoot: Set<String> = [".downbeat"]
    /// Directories that must not be entered wherever they are mounted: the targets.
    public var refused: Set<FileIdentity> = []
    public var tuning = PopulatorTuning()

    public init(sourcePath: String, naming: SourceNaming, locations: [PopulatedLocation]) {
      self.sourcePath = sourcePath
      self.naming = naming
      self.locations = locations
    }
  }

  enum Command: Sendable {
    case pause(Int)
    case resume(Int)
    case listAgain(Int)
    case requeue(Int, ObjectName)
  }

  /// Commands waiting for the lister; retries of whole failed lists come in pieces of this size at most.
  public static let commandsMax = 16_384
  /// Credits waiting for the lister.
  static let creditsMax = 262_144

  /// Entries for the reactor to produce; attach it there.
  public let entries: Inbox<EnqueueItem>
  /// What the reactor should hear of; attach it there.
  public let events: Inbox<PopulatorEvent>

  let credits = Inbox<EnqueueCredit>(countMax: EmbeddedPopulator.creditsMax)
  private let commands = Inbox<Command>(countMax: EmbeddedPopulator.commandsMax)
  private let board: PopulatorBoard
  private let thread: Lock<ReactorThread?>
  public let locationCount: Int

  /// Starts the lister. Locations that are not paused begin to list at once; attach `entries` and `events` soon.
  /// - Blocking: a few system calls.
  /// - Errors: `Errno` when the source cannot be opened or no thread can be made. What goes wrong later on the
  ///   lister's thread comes as `PopulatorEvent.unable`.
  public init(_ configuration: Configuration) throws(Errno) {
    _ = try TreeRoot(path: configuration.sourcePath)
    let entries = Inbox<EnqueueItem>(countMax: ListerOutbox.entriesMax)
    let events = Inbox<PopulatorEvent>(countMax: ListerOutbox.eventsMax)
    let board = PopulatorBoard(count: configuration.locations.count)
    self.entries = entries
    self.events = events
    self.board = board
    locationCount = configuration.locations.count
    thread = Lock(nil)
    let (credits, commands) = (self.credits, self.commands)
    let started = try ReactorThread.start(name: "lister") { reactor in
      let outbox = ListerOutbox(entries: entries, events: events)
      do {
        let lister = try Lister(configuration, outbox: outbox, board: board, reactor: reactor)
        reactor.attach(credits) { reactor, batch in lister.take(batch, reactor) }
        reactor.attach(commands) { reactor, batch in for command in batch { lister.take(command, reactor) } }
      } catch {
        outbox.report(.unable("\(error)"))
        _ = outbox.flushEvents()
      }
    }
    thread.withLock { $0 = started }
  }

  /// The location stops listing; entries already handed out stay on their way.
  /// - Thread: any. - Returns: false if too many commands wait.
  @discardableResult
  public func pause(location: Int) -> Bool { commands.push(.pause(location)) }

  /// The location lists the source (again) and follows it from there.
  @discardableResult
  public func resume(location: Int) -> Bool { commands.push(.resume(location)) }

  /// Something of what was handed out was lost: list the source again.
  @discardableResult
  public func listAgain(location: Int) -> Bool { commands.push(.listAgain(location)) }

  /// Looks at one object again and enqueues it unless its copy is up to date (a retry).
  @discardableResult
  public func requeue(_ object: ObjectName, location: Int) -> Bool { commands.push(.requeue(location, object)) }

  /// One snapshot per location, in the order of the configuration.
  /// - Thread: any. - Blocking: never.
  public var statuses: [PopulatorStatus] { board.statuses }

  /// Ends the lister's thread; what it was doing is begun anew by the next start.
  /// - Blocking: until its present turn is over. Not from the lister itself. Calling it again does nothing.
  public func stop() {
    guard
      let running = thread.withLock({ thread -> ReactorThread? in
        let running = thread
        thread = nil
        return running
      })
    else { return }
    running.handle.stop()
    running.join()
  }
}

/// The latest status of every location, written by the lister and read by anybody.
final class PopulatorBoard: Sendable {
  private let latest: Lock<[PopulatorStatus]>

  init(count: Int) { latest = Lock([PopulatorStatus](repeating: PopulatorStatus(), count: count)) }

  var statuses: [PopulatorStatus] { latest.withLock { $0 } }
  func set(_ index: Int, _ status: PopulatorStatus) { latest.withLock { $0[index] = status } }
}

/// What lives on the lister's thread: one watcher, and an enqueuer per location.
final class Lister: SourceWatcherDelegate {
  private var enqueuers: [LocationEnqueuer] = []
  private let watcher: SourceWatcher?
  private let reactor: Reactor

  init(
    _ configuration: EmbeddedPopulator.Configuration, outbox: ListerOutbox, board: PopulatorBoard, reactor: Reactor
  ) throws {
    self.reactor = reactor
    watcher = Self.makeWatcher(configuration, outbox: outbox, reactor: reactor)
    let source = try TreeRoot(path: configuration.sourcePath)
    let around = LocationEnqueuer.Surroundings(
      naming: configuration.naming, source: source,
      walkOptions: .init(reservedAtRoot: configuration.reservedAtRoot, refused: configuration.refused),
      watcher: watcher, outbox: outbox, tuning: configuration.tuning, publish: { board.set($0, $1) })
    for (index, location) in configuration.locations.enumerated() {
      let form = EntryForm(site: location.site)
      let enqueuer = try LocationEnqueuer(index: index, location: location, around: around) { form.encode($0, $1) }
      enqueuers.append(enqueuer)
    }
    watcher?.delegate = self
    for (enqueuer, location) in zip(enqueuers, configuration.locations) {
      enqueuer.start(on: reactor, isPaused: location.isPaused)
    }
  }

  private static func makeWatcher(
    _ configuration: EmbeddedPopulator.Configuration, outbox: ListerOutbox, reactor: Reactor
  ) -> SourceWatcher? {
    do throws(Errno) {
      let watcher = try SourceWatcher(
        reservedAtRoot: configuration.reservedAtRoot, watchesMax: configuration.tuning.watchesMax)
      try watcher.start(on: reactor)
      return watcher
    } catch {
      outbox.sayOnce("changes of \(configuration.sourcePath) cannot be watched (\(error)): it is listed again at intervals")
      return nil
    }
  }

  func take(_ credits: [EnqueueCredit], _ reactor: Reactor) {
    for credit in credits { enqueuers[Int(credit.location)].credited(credit, reactor) }
  }

  func take(_ command: EmbeddedPopulator.Command, _ reactor: Reactor) {
    switch command {
    case .pause(let index): enqueuers[index].pause(reactor)
    case .resume(let index): enqueuers[index].resume(reactor)
    case .listAgain(let index): enqueuers[index].listAgain(reactor)
    case .requeue(let index, let object): enqueuers[index].requeue(object, reactor)
    }
  }

  func watcher(_ watcher: SourceWatcher, saw change: SourceChange) {
    for enqueuer in enqueuers { enqueuer.saw(change, reactor) }
  }

  func watcherOverflowed(_ watcher: SourceWatcher) {
    for enqueuer in enqueuers { enqueuer.overflowed(reactor) }
  }
}
