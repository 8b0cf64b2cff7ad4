// Positions in a Kafka log. Two integers that must never be mixed up, so each has its own type.
// An `Offset` used for a commit always means "next to read", as in Kafka itself.

/// A position in one partition.
public struct Offset: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var value: Int64

  public init(_ value: Int64) { self.value = value }

  public var next: Offset { Offset(value + 1) }
  public var description: String { String(value) }

  public static func < (a: Offset, b: Offset) -> Bool { a.value < b.value }
}

/// The number of a partition of one topic.
public struct Partition: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var value: Int32

  public init(_ value: Int32) { self.value = value }

  public var description: String { String(value) }

  public static func < (a: Partition, b: Partition) -> Bool { a.value < b.value }
}
