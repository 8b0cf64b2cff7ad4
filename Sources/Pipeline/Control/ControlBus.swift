// The fast way of telling nodes that a location's state changed: Redis pub/sub between processes, plain calls within one.
//
// Invariant: the bus carries wake-ups and foreign commands only; the truth is in the state store, so a lost message costs time,
// never correctness. A message is delivered on the reactor's thread, never from within a call into the bus.
//
// Deliberately without acknowledgement or history: pub/sub has none.

/// How a bus stands with its server.
public enum ControlBusState: Hashable, Sendable {
  /// Not usable now; the bus goes on trying by itself.
  case down(reason: String)
  /// Every subscription has been confirmed by the server, and commands can be sent.
  case ready
  /// Stopped by its owner.
  case closed
}

/// Why a message was not published.
public enum ControlBusError: Error, Hashable, Sendable {
  /// No connection, or it broke before the server confirmed.
  case unavailable(String)
  /// The bounded queue of unconfirmed commands is full.
  case queueFull
  /// The server answered with an error.
  case refused(String)
}

/// The one that is told what a bus hears. Called on the reactor's thread.
public protocol ControlBusObserver: AnyObject {
  func controlBus(_ bus: any ControlBus, received payload: [UInt8], on channel: String)
  func controlBus(_ bus: any ControlBus, became state: ControlBusState)
}

/// Publish and subscribe, fire and forget.
/// - Thread: the reactor it was made on. - Blocking: never.
public protocol ControlBus: AnyObject {
  var state: ControlBusState { get }

  /// Starts connecting. The observer is held weakly.
  func start(observer: any ControlBusObserver)
  func stop(_ completion: @escaping () -> Void)

  /// Adds a subscription that holds until `unsubscribe`, across reconnects. `ready` is given up until it is confirmed.
  func subscribe(_ subscription: ControlSubscription)
  func unsubscribe(_ subscription: ControlSubscription)

  /// Publishes; the completion has the count of receivers the server knew of (never a proof that anybody acted).
  func publish(channel: String, payload: [UInt8], _ completion: @escaping (Result<Int64, ControlBusError>) -> Void)
}

/// One channel by name, or all whose name starts with a prefix (Redis `PSUBSCRIBE prefix*`; glob characters in the prefix are
/// escaped, so a location's name is never a pattern).
public enum ControlSubscription: Hashable, Sendable {
  case channel(String)
  case prefix(String)
}

/// Channel names: `<topic>-<location>` (Backbeat `lib/util/LocationStatusManager.js`; no topic prefix is applied to them).
public struct ControlChannels: Hashable, Sendable {
  private var topics: [ControlledService: String]

  /// - Parameter lifecycleTopic: nil, as in Backbeat, where lifecycle has no channel: its nodes follow the store alone.
  public init(
    replicationTopic: String = "backbeat-replication", ingestionTopic: String = "backbeat-ingestion",
    lifecycleTopic: String? = nil
  ) {
    topics = [.crr: replicationTopic, .ingestion: ingestionTopic]
    topics[.lifecycle] = lifecycleTopic
  }

  /// The channel of a location; nil for a service without channels.
  public func channel(_ key: LocationKey) -> String? {
    topics[key.service].map { "\($0)-\(key.location)" }
  }

  /// The location a channel name stands for. The longest topic wins, so that topics which are prefixes of each other do not
  /// steal each other's messages.
  public func key(channel: String) -> LocationKey? {
    var best: (service: ControlledService, prefix: Int)?
    for (service, topic) in topics where channel.hasPrefix(topic + "-") {
      if topic.utf8.count > best?.prefix ?? -1 { best = (service, topic.utf8.count) }
    }
    guard let best, let location = String(channel.utf8.dropFirst(best.prefix + 1)), !location.isEmpty else { return nil }
    return LocationKey(best.service, location)
  }

  /// Where our own nodes say that they begin to store a pause (`PauseAnnouncement`), for all locations of a service. Outside of every
  /// name that Backbeat listens to.
  public func announcements(_ service: ControlledService) -> String? {
    topics[service].map { "downbeat:announcements:\($0)" }
  }

  /// How to hear every location of a service at once, for locations not known beforehand (ingestion).
  public func everyChannel(_ service: ControlledService) -> ControlSubscription? {
    topics[service].map { .prefix($0 + "-") }
  }
}
