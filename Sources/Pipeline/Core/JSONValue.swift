// A small strict JSON document: control-plane bodies, stored states, the few parts of an entry that must be rewritten.
//
// Invariants: members keep their order, numbers their spelling, so what is read and written again differs only where it
// was changed; nesting and size are bounded. The writer gives the bytes of JavaScript's `JSON.stringify`.
// It deliberately is not for entries on their way through: `EntryDecoder` reads those in place.

public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// As spelled.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Why a text is not taken. `code` is stable (error bodies, logs).
  public struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
    public let code: String
    /// Byte position, 0 where it does not matter.
    public let position: Int
    public var description: String { "\(code) at byte \(position)" }
  }

  public static let bytesMaxDefault = 1 << 20
  public static let depthMaxDefault = 32

  // MARK: Access

  /// The member of that name, the last one if it is repeated (as JavaScript reads it).
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.name == name }?.value
  }

  public var string: String? { if case .string(let text) = self { text } else { nil } }
  public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  public var array: [JSONValue]? { if case .array(let items) = self { items } else { nil } }
  public var members: [Member]? { if case .object(let members) = self { members } else { nil } }
  public var isNull: Bool { self == .null }

  /// A whole number: `3` and `3.0` are, `3.5` and `"3"` are not; nil beyond 64 bits.
  public var int: Int64? {
    guard case .number(let text) = self else { return nil }
    return Int64(text) ?? Self.wholeNumber(text)
  }

  /// A number with a fraction or an exponent that is whole all the same. By hand: floating point would need a library.
  private static func wholeNumber(_ text: String) -> Int64? {
    let halves = text.lowercased().split(separator: "e", omittingEmptySubsequences: false)
    let parts = halves[0].split(separator: ".", omittingEmptySubsequences: false)
    var digits = parts.joined()
    // Int takes a sign in front of an exponent as JSON writes it; far ones are not whole or far too large.
    guard let exponent = halves.count > 1 ? Int(halves[1]) : 0, exponent.magnitude < 400 else { return nil }
    var zeros = exponent - (parts.count > 1 ? parts[1].count : 0)
    while zeros < 0, digits.last == "0" {
      digits.removeLast()
      zeros += 1
    }
    if digits.allSatisfy({ $0 == "0" || $0 == "-" }) { return 0 }
    return zeros < 0 ? nil : Int64(digits + String(repeating: "0", count: zeros))
  }

  public static func int(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

  /// Sets or appends a member; the place of an existing one is kept. Traps on anything but an object.
  public mutating func set(_ name: String, _ value: JSONValue) {
    guard case .object(var members) = self else { preconditionFailure("not an object") }
    self = .null
    if let index = members.lastIndex(where: { $0.name == name }) {
      members[index].value = value
    } else {
      members.append(Member(name, value))
    }
    self = .object(members)
  }

  /// Removes every member of that name.
  public mutating func remove(_ name: String) {
    guard case .object(var members) = self else { return }
    self = .null
    members.removeAll { $0.name == name }
    self = .object(members)
  }
}

// MARK: - Reading

extension JSONValue {
  /// - Parameter bytes: one JSON text, white space around it allowed.
  public init(
    parsing bytes: [UInt8], bytesMax: Int = bytesMaxDefault, depthMax: Int = depthMaxDefault
  ) throws(Malformed) {
    guard bytes.count <= bytesMax else { throw Malformed(code: DeadLetterReason.tooLarge.code, position: bytesMax) }
    // A number at the very end needs something behind it to end at.
    let padded = bytes + [0x20]
    let reader = JSONReader(depthMax: depthMax)
    var at = 0
    do throws(DeadLetterReason) {
      self = try reader.value(padded.span, &at, depth: 0)
      while at < padded.count {
        guard padded[at] == 0x20 || padded[at] == 0x0A || padded[at] == 0x0D || padded[at] == 0x09 else { throw .badJSON }
        at += 1
      }
    } catch {
      throw Malformed(code: error.code, position: min(at, bytes.count))
    }
  }

  public init(parsing text: String) throws(Malformed) { try self.init(parsing: Array(text.utf8)) }
}

private struct JSONReader {
  let depthMax: Int

  func value(_ text: Span<UInt8>, _ at: inout Int, depth: Int) throws(DeadLetterReason) -> JSONValue {
    let char = try PlainJSON.peek(text, &at)
    switch char.byte {
    case UInt8(ascii: "\""):
      at += 1
      return .string(self.text(try PlainJSON.string(text, &at), text))
    case UInt8(ascii: "{"):
      guard depth < depthMax else { throw .nestingTooDeep }
      at += 1
      return try object(text, &at, depth: depth + 1)
    case UInt8(ascii: "["):
      guard depth < depthMax else { throw .nestingTooDeep }
      at += 1
      return try array(text, &at, depth: depth + 1)
    default:
      let start = at
      try PlainJSON.skipScalar(text, &at, char)
      switch char.byte {
      case UInt8(ascii: "t"): return .bool(true)
      case UInt8(ascii: "f"): return .bool(false)
      case UInt8(ascii: "n"): return .null
      default:
        let slice = TextSlice(start: Int32(start), end: Int32(at), firstEscape: Int32(at), isPresent: true)
        return .number(self.text(slice, text))
      }
    }
  }

  private func object(_ text: Span<UInt8>, _ at: inout Int, depth: Int) throws(DeadLetterReason) -> JSONValue {
    var members: [JSONValue.Member] = []
    var isFirst = true
    while true {
      let name = try PlainJSON.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { return .object(members) }
      members.append(JSONValue.Member(self.text(name, text), try value(text, &at, depth: depth)))
    }
  }

  private func array(_ text: Span<UInt8>, _ at: inout Int, depth: Int) throws(DeadLetterReason) -> JSONValue {
    var items: [JSONValue] = []
    var isFirst = true
    while try PlainJSON.nextElement(text, &at, isFirst: &isFirst) { items.append(try value(text, &at, depth: depth)) }
    return .array(items)
  }

  private func text(_ slice: TextSlice, _ text: Span<UInt8>) -> String {
    String(decoding: slice.bytes(in: text), as: UTF8.self)
  }
}

// MARK: - Writing

extension JSONValue: CustomStringConvertible {
  /// The bytes `JSON.stringify` gives.
  public var bytes: [UInt8] {
    var writer = JSONWriter()
    writer.value(self)
    return writer.bytes
  }

  public var description: String { String(decoding: bytes, as: UTF8.self) }
}
