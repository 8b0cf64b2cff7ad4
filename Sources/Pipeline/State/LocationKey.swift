// The names of what is controlled: a location of a service, and one version of its stored state.
//
// Invariant: two versions are compared only when they belong to the same incarnation of the stored node. A node that was
// deleted and made again counts from zero, so a bare number says nothing across that gap.

/// The three services of the control API (contract section 4).
public enum ControlledService: String, Hashable, Sendable, CaseIterable {
  case crr, ingestion, lifecycle
}

/// One location of one service: the unit that is paused, resumed and scheduled.
public struct LocationKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let service: ControlledService
  public let location: String

  public init(_ service: ControlledService, _ location: String) {
    self.service = service
    self.location = location
  }

  public var description: String { "\(service.rawValue)/\(location)" }

  public static func < (a: LocationKey, b: LocationKey) -> Bool {
    (a.service.rawValue, a.location) < (b.service.rawValue, b.location)
  }
}

/// One version of a stored state: the node's incarnation (ZooKeeper's `czxid`) and the count of writes since.
public struct StateVersion: Hashable, Sendable, CustomStringConvertible {
  public var incarnation: Int64
  public var number: Int64

  public init(incarnation: Int64, number: Int64) {
    self.incarnation = incarnation
    self.number = number
  }

  public var description: String { "\(number)@\(incarnation)" }

  /// Whether this version includes the write `other`: same incarnation and not older. False across incarnations.
  public func includes(_ other: StateVersion) -> Bool { incarnation == other.incarnation && number >= other.number }

  /// Whether this version is known to be older than `other`. False across incarnations: nothing is known then.
  public func isOlder(than other: StateVersion) -> Bool { incarnation == other.incarnation && number < other.number }
}

/// What a store holds for a location: the JSON text as somebody wrote it, valid or not, and its version.
public struct StoredEntry: Hashable, Sendable {
  public var json: [UInt8]
  public var version: StateVersion

  public init(json: [UInt8], version: StateVersion) {
    self.json = json
    self.version = version
  }
}
