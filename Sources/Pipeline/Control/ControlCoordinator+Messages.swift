// What the bus brings. With an origin: a wake-up from one of us, who has stored the state already; it is read, never written.
// Without: a command of a foreign node (Backbeat's API), which stores nothing itself. One node carries it out: the first, by id,
// of those whose report says that they hear the bus. And announcements of pauses that are about to be stored: entries are held
// back, nothing else.
//
// The first may have died a moment ago, its report not yet expired. So the next ones look again after their turn: if nothing has
// been written since and the command would still change something, they carry it out themselves.
internal import Logging
internal import PipelineCore
internal import Reactor

extension ControlCoordinator: ControlBusObserver {
  /// Turns beyond which nobody waits: with so many nodes dead at once, the operator will look.
  private static let turnsMax = 4

  public func controlBus(_ bus: any ControlBus, became state: ControlBusState) {
    log.info("control bus", metadata: ["state": "\(state)"])
    publishAllReports()
    // Messages may have been missed, and what was missed is in the store.
    guard state == .ready else { return }
    for location in locations.values where location.isLoaded { store.refresh(location.key) }
  }

  public func controlBus(_ bus: any ControlBus, received payload: [UInt8], on channel: String) {
    if let service = servicesByAnnouncements[channel] { return heard(payload, of: service, on: channel) }
    guard let key = keysByChannel[channel], let location = locations[key] else { return }
    let message: ControlMessage
    do throws(JSONValue.Malformed) {
      message = try ControlMessage(parsing: payload)
    } catch {
      return malformed(error, on: channel)
    }
    if let origin = message.origin {
      statistics.messagesWaking += 1
      guard origin != nodeId else { return }
      if message.action == .pause, isNews(message.version, at: location) { location.sink?.pauseAnnounced() }
      store.refresh(key)
    } else {
      statistics.messagesForeign += 1
      if message.action == .pause { location.sink?.pauseAnnounced() }
      carryOut(command(for: message.action), at: location)
    }
  }

  private func heard(_ payload: [UInt8], of service: ControlledService, on channel: String) {
    let announcement: PauseAnnouncement
    do throws(JSONValue.Malformed) {
      announcement = try PauseAnnouncement(parsing: payload)
    } catch {
      return malformed(error, on: channel)
    }
    guard announcement.origin != nodeId, let location = locations[LocationKey(service, announcement.location)],
      let known = location.knowledge.entry?.version, known.number <= announcement.after
    else { return }
    location.sink?.pauseAnnounced()
  }

  /// Whether the version announced is later than the one known. (Of a state made anew it may not look so; then reading tells.)
  private func isNews(_ version: Int64?, at location: ControlledLocation) -> Bool {
    guard let version, let known = location.knowledge.entry?.version else { return false }
    return version > known.number
  }

  /// One line for the first, then for each power of two: a broken sender must not fill the disk.
  private func malformed(_ error: JSONValue.Malformed, on channel: String) {
    statistics.messagesMalformed += 1
    let count = statistics.messagesMalformed
    guard count & (count - 1) == 0 else { return }
    log.warning("malformed control message", metadata: ["channel": "\(channel)", "error": "\(error)", "count": "\(count)"])
  }

  /// A date that is not in the future means now (Backbeat `QueueProcessor._resumeService`).
  private func command(for action: ControlMessage.Action) -> StateCommand {
    switch action {
    case .pause: .pause
    case .resume: .resume
    case .schedule(let atMs): atMs > clock.wallMs() ? .schedule(atMs: atMs) : .resume
    case .unschedule: .unschedule
    }
  }

  private func carryOut(_ command: StateCommand, at location: ControlledLocation) {
    // This node hears, whatever its report says: it has just heard.
    let rank = location.nodes.rankAmongHearing(of: nodeId) ?? 0
    if rank == 0 { return runForeign(command, at: location) }
    store.refresh(location.key)
    guard rank <= Self.turnsMax else { return }
    let seen = location.knowledge.entry?.version  // what is known now: a write after this moment is somebody's
    reactor.schedule(after: limits.foreignTurn * rank) { [weak self] _ in
      guard let self, !location.isRemoved, location.knowledge.entry?.version == seen,
        let stored = location.knowledge.stored, command.applied(to: stored, at: seen) != nil
      else { return }
      log.notice("foreign command was not carried out by the node before", metadata: ["location": "\(location.key)"])
      runForeign(command, at: location)
    }
  }

  /// Not published again: Backbeat nodes have heard it, and a repetition sent late could undo what came after it.
  private func runForeign(_ command: StateCommand, at location: ControlledLocation) {
    run(command, at: location, within: limits.foreignMax) { [log] outcome in
      guard case .failed(let why, _) = outcome else { return }
      log.error("foreign command could not be stored", metadata: ["location": "\(location.key)", "error": "\(why)"])
    }
  }

  // MARK: Sending

  /// A pause is about to be stored: holds entries back here and asks the others to. Not where it could not be stored anyway.
  func announcePause(at location: ControlledLocation) {
    guard store.connection.isConnected, location.knowledge.isConfirmed, let version = location.knowledge.entry?.version,
      location.desired?.paused == false
    else { return }
    location.sink?.pauseAnnounced()
    guard let channel = channels.announcements(location.key.service) else { return }
    let announcement = PauseAnnouncement(location: location.key.location, origin: nodeId, after: version.number)
    // Whether it arrives shows in how soon entries stop, in nothing else.
    bus.publish(channel: channel, payload: announcement.bytes) { _ in }
  }

  /// Tells everybody that `command` has been stored as `version`. Fire and forget: whoever misses it sees the store's watch.
  func publish(_ command: StateCommand, version: StateVersion, at location: ControlledLocation) {
    guard let channel = location.channel, let action = command.action else { return }
    let message = ControlMessage(action, origin: nodeId, version: version.number)
    bus.publish(channel: channel, payload: message.bytes) { [weak self, log] result in
      guard case .failure(let error) = result else { return }
      self?.statistics.publishFailures += 1
      log.info("not published; nodes follow their watch", metadata: ["channel": "\(channel)", "error": "\(error)"])
    }
  }
}
