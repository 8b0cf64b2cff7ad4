// Object keys as file names and back.
//
// One path component for each `/`-part of a key. Parts a file system cannot hold, or that would mean something else there,
// have the offending bytes written `%XX`; the mapping is injective and `object(at:)` inverts it exactly. What it writes:
//
//   empty part          %00            a part of n NULs only   %00 (n + 1 times), so that it differs from the empty one
//   `.` and `..`        %2E, %2E%2E    NUL                     %00
//   `%` + two hex       %25 + both     `.downbeat`, first part %2Edownbeat
//   over 255 bytes      pieces; each but the last ends in %2B ("goes on in the next component")
//   displaced           the last component ends in %2F: the key's own name is taken by a directory
//
// No other escape is ever written, so `%2B` and `%2F` at the end of a component cannot come from a key.
// It knows no file system: whether a name is taken is not asked here.

/// How a location names its files.
public enum FileNaming: Hashable, Sendable {
  /// Any key, by the rules above.
  case mapped
  /// The key is the path, for trees whose keys were file names to begin with (`quickstart`: the same relative path).
  case verbatim
}

/// Why an object can have no file here.
public enum KeyPathError: Error, Hashable, Sendable {
  /// Empty, `.`, `..`, or holding `/` or NUL.
  case bucketIsNoName
  /// Only with `verbatim`: a part that no file can be named.
  case keyIsNoPath
  /// Only with `verbatim`: below `.downbeat`, which is ours.
  case keyIsReserved
  case tooLong
}

/// Where an object's file is, relative to its location's root. Never empty, never begins or ends with `/`.
public struct ObjectPath: Hashable, Sendable {
  public let bytes: [UInt8]
  /// Bytes of the directory part; 0 at the root itself.
  private let parentCount: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    parentCount = bytes.lastIndex(of: UInt8(ascii: "/")) ?? 0
  }

  /// The directory it is in; empty for the root.
  public var parent: [UInt8] { Array(bytes[..<parentCount]) }
  public var name: [UInt8] { Array(bytes[(parentCount == 0 ? 0 : parentCount + 1)...]) }
  /// For messages; keys are UTF-8, so this loses nothing.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
}

public enum KeyPath {
  public static let nameBytesMax = 255
  /// Longer paths are refused. The kernel's own limit of 4,096 does not count here: paths are walked in steps.
  public static let pathBytesMax = 8_192
  static let reservedName = Array(".downbeat".utf8)
  static let displacedSuffix = Array("%2F".utf8)
  private static let continuedSuffix = Array("%2B".utf8)

  /// - Parameters:
  ///   - bucket: nil where the bucket is no part of the path (`bucketMatch: true`).
  ///   - isDisplaced: the name to use when the key is a directory as well.
  public static func path(
    bucket: String?, key: String, naming: FileNaming = .mapped, isDisplaced: Bool = false
  ) throws(KeyPathError) -> ObjectPath {
    var parts = key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
    if let bucket {
      let name = Array(bucket.utf8)
      guard isPlainName(name), !name.contains(UInt8(ascii: "/")) else { throw .bucketIsNoName }
      parts.insert(name, at: 0)
    }
    guard parts.reduce(parts.count, { $0 + $1.count }) <= pathBytesMax else { throw .tooLong }
    var components: [[UInt8]] = []
    for (index, part) in parts.enumerated() {
      let suffix = isDisplaced && index == parts.count - 1 ? displacedSuffix : []
      switch naming {
      case .mapped: components += pieces(of: part, isFirst: index == 0, suffix: suffix)
      case .verbatim: components.append(try verbatim(part, isFirst: index == 0) + suffix)
      }
    }
    let bytes = Array(components.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
    guard bytes.count <= pathBytesMax else { throw .tooLong }
    return ObjectPath(bytes)
  }

  /// The object whose file has this path; nil if no object's has (then the file is not ours).
  public static func object(at path: [UInt8], hasBucket: Bool) -> (bucket: String?, key: String, isDisplaced: Bool)? {
    guard let (parts, isDisplaced) = decodedParts(path), parts.count > (hasBucket ? 1 : 0) else { return nil }
    let slash = CollectionOfOne(UInt8(ascii: "/"))
    let bucket = hasBucket ? String(validating: parts[0], as: UTF8.self) : nil
    let keyBytes = Array(parts.dropFirst(hasBucket ? 1 : 0).joined(separator: slash))
    guard let key = String(validating: keyBytes, as: UTF8.self), !hasBucket || bucket != nil else { return nil }
    // Names nobody wrote with `path` (lower-case escapes, needless splits) must not count as somebody's copy.
    do throws(KeyPathError) {
      let canonical = try self.path(bucket: bucket, key: key, isDisplaced: isDisplaced)
      return canonical.bytes == path ? (bucket, key, isDisplaced) : nil
    } catch {
      return nil
    }
  }

  // MARK: To names

  private static func isPlainName(_ name: [UInt8]) -> Bool {
    !name.isEmpty && name != Array(".".utf8) && name != Array("..".utf8) && !name.contains(0)
  }

  private static func verbatim(_ part: [UInt8], isFirst: Bool) throws(KeyPathError) -> [UInt8] {
    guard isPlainName(part), part.count <= nameBytesMax else { throw .keyIsNoPath }
    guard !isFirst || part != reservedName else { throw .keyIsReserved }
    return part
  }

  private static func pieces(of part: [UInt8], isFirst: Bool, suffix: [UInt8]) -> [[UInt8]] {
    let atoms = atoms(of: part, isFirst: isFirst)
    var rest = atoms[...]
    var restCount = atoms.reduce(0) { $0 + $1.count }
    var pieces: [[UInt8]] = []
    while restCount + suffix.count > nameBytesMax {
      var piece: [UInt8] = []
      while let atom = rest.first, piece.count + atom.count <= nameBytesMax - continuedSuffix.count {
        piece += atom
        rest.removeFirst()
      }
      restCount -= piece.count
      pieces.append(piece + continuedSuffix)
    }
    let last = Array(rest.joined())
    // What is left of a long part may be `..` all the same.
    pieces.append((isDots(last) ? escaped(last) : last) + suffix)
    return pieces
  }

  /// The part cut where it may be split: escapes and UTF-8 sequences stay whole.
  private static func atoms(of part: [UInt8], isFirst: Bool) -> [[UInt8]] {
    if part.isEmpty { return [escape(0)] }
    if part.allSatisfy({ $0 == 0 }) { return Array(repeating: escape(0), count: part.count + 1) }
    if isDots(part) { return part.map(escape) }
    var atoms: [[UInt8]] = []
    for (index, byte) in part.enumerated() {
      if byte == 0 || (byte == UInt8(ascii: "%") && isEscape(part, index)) {
        atoms.append(escape(byte))
      } else if byte & 0xC0 == 0x80, !atoms.isEmpty, atoms[atoms.count - 1].count < 4, atoms[atoms.count - 1][0] >= 0x80 {
        atoms[atoms.count - 1].append(byte)
      } else {
        atoms.append([byte])
      }
    }
    if isFirst, part == reservedName { atoms[0] = escape(part[0]) }
    return atoms
  }

  private static func isDots(_ part: [UInt8]) -> Bool { (1...2).contains(part.count) && part.allSatisfy { $0 == UInt8(ascii: ".") } }

  private static func isEscape(_ bytes: [UInt8], _ index: Int) -> Bool {
    index + 2 < bytes.count && Hex.value(bytes[index + 1]) != nil && Hex.value(bytes[index + 2]) != nil
  }

  private static func escaped(_ part: [UInt8]) -> [UInt8] { part.flatMap(escape) }

  private static func escape(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }

  // MARK: To keys

  private static func decodedParts(_ path: [UInt8]) -> (parts: [[UInt8]], isDisplaced: Bool)? {
    var parts: [[UInt8]] = []
    var raw: [UInt8] = []
    var isContinued = false
    var isDisplaced = false
    let components = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for (index, component) in components.enumerated() {
      isContinued = component.suffix(3) == continuedSuffix[...]
      if isContinued {
        raw += component.dropLast(3)
        continue
      }
      isDisplaced = index == components.count - 1 && component.suffix(3) == displacedSuffix[...]
      raw += isDisplaced ? component.dropLast(3) : component
      parts.append(unescaped(raw))
      raw = []
    }
    return isContinued ? nil : (parts, isDisplaced)
  }

  private static func unescaped(_ raw: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    var escapes = 0
    var index = 0
    while index < raw.count {
      if raw[index] == UInt8(ascii: "%"), isEscape(raw, index) {
        bytes.append(Hex.value(raw[index + 1])! << 4 | Hex.value(raw[index + 2])!)
        escapes += 1
        index += 3
      } else {
        bytes.append(raw[index])
        index += 1
      }
    }
    // Escaped NULs and nothing else: one of them stands for the part being there at all.
    if escapes == bytes.count, bytes.allSatisfy({ $0 == 0 }), !bytes.isEmpty { bytes.removeLast() }
    return bytes
  }
}
