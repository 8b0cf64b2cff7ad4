// How an object is cut into parts (backbeat-behaviour 5.5): 16 MiB doubled while that gives more than 1000 parts, up to
// 512 MiB; from there up to 10,000 parts, doubled beyond. Google's limit is 1024 parts.

public struct PartPlan: Hashable, Sendable {
  public static let sizeMin: Int64 = 16 << 20
  public static let sizeUsualMax: Int64 = 512 << 20
  public static let countUsualMax: Int64 = 1000
  public static let countMax: Int64 = 10_000
  public static let googleCountMax: Int64 = 1024

  /// Bytes of the object.
  public let length: Int64
  /// Bytes of each part but the last.
  public let partSize: Int64

  public init(length: Int64, isGoogle: Bool = false) {
    precondition(length >= 0)
    self.length = length
    var size = Self.sizeMin
    while size < Self.sizeUsualMax, Self.count(length, size) > Self.countUsualMax { size *= 2 }
    while Self.count(length, size) > Self.countMax { size *= 2 }
    if isGoogle, Self.count(length, size) > Self.googleCountMax {
      size = 1
      while size < Self.count(length, Self.googleCountMax) { size *= 2 }
    }
    partSize = size
  }

  /// Parts; one, without a range, for an object of no bytes.
  public var count: Int { length == 0 ? 1 : Int(Self.count(length, partSize)) }

  /// Bytes of part `index` (from 0); nil for the one part of an empty object.
  public func range(_ index: Int) -> Range<Int64>? {
    guard length > 0 else { return nil }
    precondition((0..<count).contains(index))
    let start = Int64(index) * partSize
    return start..<min(start + partSize, length)
  }

  private static func count(_ length: Int64, _ size: Int64) -> Int64 { length / size + (length % size == 0 ? 0 : 1) }
}
