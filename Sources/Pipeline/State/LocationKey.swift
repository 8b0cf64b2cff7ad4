// The names of what is controlled: a location of a service, and one version of its stored state.
//
// Invariant: two versions are compared only when they belong to the same incarnation of the stored node. A node that was
// deleted and made again counts from zero, so a bare number says nothing across that gap.
public import PipelineCore

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

extension StateVersion {
  /// Whether this version has the write `other` in it: same incarnation and not older. False across incarnations.
  public func includes(_ other: StateVersion) -> Bool { epoch == other.epoch && number >= other.number }

  /// For log lines.
  var text: String { "\(number)@\(epoch)" }
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
