// The lister's way out: entries and events to the reactor, in order, never blocking. What does not fit waits here, and
// whoever fills it stops reading on until it is empty, so it stays as small as one turn's work.

internal import Reactor

/// Bounded by its users: each fills it with one turn's work at most and fills on only when `flush` said true.
final class ListerOutbox {
  /// Entries on the way to the reactor, all locations together; the windows hold it far lower in practice.
  static let entriesMax = 65_536
  static let eventsMax = 4_096

  private let entries: Inbox<EnqueueItem>
  private let events: Inbox<PopulatorEvent>
  private var eventsWaiting: [PopulatorEvent] = []
  private var said: Set<String> = []

  init(entries: Inbox<EnqueueItem>, events: Inbox<PopulatorEvent>) {
    self.entries = entries
    self.events = events
  }

  /// - Returns: false if the reactor's inbox is full.
  func send(_ item: EnqueueItem) -> Bool { entries.push(item) }

  func report(_ event: PopulatorEvent) { eventsWaiting.append(event) }

  /// Once per text.
  func sayOnce(_ text: String) {
    if said.insert(text).inserted { report(.note(text)) }
  }

  /// - Returns: true if nothing waits any more.
  func flushEvents() -> Bool {
    if eventsWaiting.isEmpty { return true }
    eventsWaiting.removeFirst(events.push(contentsOf: eventsWaiting))
    return eventsWaiting.isEmpty
  }
}
