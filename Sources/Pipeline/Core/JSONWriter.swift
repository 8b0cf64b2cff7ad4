// Writes JSON with the bytes of JavaScript's `JSON.stringify`: no white space; escaped are `"`, `\`, the control
// characters (the short forms where there are any, else `\u00xx` in lower case) and nothing else.
// A nested stretch (`beginNested` … `endNested`) is a JSON string that holds JSON: everything in it is escaped once more.

public struct JSONWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  private var isNested = false
  /// The next member or element needs a comma in front.
  private var needsComma = false

  public init(reservingCapacity capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  // MARK: Structure

  public mutating func beginObject() { open(UInt8(ascii: "{")) }
  public mutating func endObject() { close(UInt8(ascii: "}")) }
  public mutating func beginArray() { open(UInt8(ascii: "[")) }
  public mutating func endArray() { close(UInt8(ascii: "]")) }

  /// The name of the member whose value is written next.
  /// - Parameter name: with nothing in it to be escaped.
  public mutating func name(_ name: StaticString) {
    // Unsafe: the pointer does not outlive the call.
    assert(name.withUTF8Buffer { unsafe ByteScan.special($0.span, 0) == $0.count }, "a name that must be escaped")
    let (comma, isNested) = (needsComma, isNested)
    bytes.append(addingCapacity: name.utf8CodeUnitCount + Self.aroundName) { bytes in
      if comma { bytes.append(UInt8(ascii: ",")) }
      Self.quote(isNested, &bytes)
      bytes.append(literal: name)
      Self.quote(isNested, &bytes)
      bytes.append(UInt8(ascii: ":"))
    }
    needsComma = false
  }

  /// Of a member whose name is not known beforehand.
  public mutating func name(text: String) {
    separate()
    quoted(text)
    put(UInt8(ascii: ":"))
    needsComma = false
  }

  public mutating func member(_ name: StaticString, _ text: String) {
    self.name(name)
    string(text)
  }

  /// Opens a JSON string whose content is the JSON written until `endNested`. One level only.
  public mutating func beginNested() {
    precondition(!isNested, "one level of nesting is all the format has")
    separate()
    put(UInt8(ascii: "\""))
    isNested = true
    needsComma = false
  }

  public mutating func endNested() {
    precondition(isNested)
    isNested = false
    put(UInt8(ascii: "\""))
    needsComma = true
  }

  // MARK: Values

  public mutating func string(_ text: String) {
    separate()
    quoted(text)
    needsComma = true
  }

  public mutating func int(_ value: Int64) { raw(bytesMax: OutputSpan<UInt8>.decimalBytesMax) { $0.append(decimal: value) } }
  public mutating func bool(_ value: Bool) { literal(value ? "true" : "false") }
  public mutating func null() { literal("null") }

  public mutating func value(_ value: JSONValue) {
    switch value {
    case .null: null()
    case .bool(let flag): bool(flag)
    case .number(let text): raw(bytesMax: text.utf8.count) { $0.append(text: text) }
    case .string(let text): string(text)
    case .array(let items):
      beginArray()
      for item in items { self.value(item) }
      endArray()
    case .object(let members):
      beginObject()
      for member in members {
        name(text: member.name)
        self.value(member.value)
      }
      endObject()
    }
  }

  /// JSON that is written already, at the present level: taken as it is.
  public mutating func raw(_ json: some Sequence<UInt8>) {
    separate()
    bytes.append(contentsOf: json)
    needsComma = true
  }

  /// The same, written in place. - Parameter bytesMax: the most that `write` adds.
  public mutating func raw(bytesMax: Int, _ write: (inout OutputSpan<UInt8>) -> Void) {
    separate()
    bytes.append(addingCapacity: bytesMax, initializingWith: write)
    needsComma = true
  }

  private mutating func literal(_ text: StaticString) { raw(bytesMax: text.utf8CodeUnitCount) { $0.append(literal: text) } }

  // MARK: Bytes

  private mutating func open(_ byte: UInt8) {
    separate()
    put(byte)
    needsComma = false
  }

  private mutating func close(_ byte: UInt8) {
    put(byte)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { put(UInt8(ascii: ",")) }
    needsComma = false
  }

  private mutating func quoted(_ text: String) {
    let utf8 = text.utf8.span
    let isNested = isNested
    // Nearly all are ASCII without anything to escape; else it is looked at byte by byte.
    if ByteScan.special(utf8, 0) == utf8.count {
      bytes.append(addingCapacity: utf8.count + Self.aroundName) { bytes in
        Self.quote(isNested, &bytes)
        bytes.append(text: text)
        Self.quote(isNested, &bytes)
      }
    } else {
      quote()
      for byte in text.utf8 { escaped(byte) }
      quote()
    }
  }

  /// A comma, two quotes of two characters and a colon.
  private static let aroundName = 6

  private mutating func quote() {
    if isNested { put(UInt8(ascii: "\\")) }
    put(UInt8(ascii: "\""))
  }

  private static func quote(_ isNested: Bool, _ bytes: inout OutputSpan<UInt8>) {
    if isNested { bytes.append(UInt8(ascii: "\\")) }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func put(_ byte: UInt8) { bytes.append(byte) }

  /// One byte of a string. Nested, each backslash the first level needs is doubled, and a quote gets its own.
  private mutating func escaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      backslash()
      if isNested { put(UInt8(ascii: "\\")) }
      put(byte)
    case 0x08: short("b")
    case 0x09: short("t")
    case 0x0A: short("n")
    case 0x0C: short("f")
    case 0x0D: short("r")
    case 0..<0x20:
      short("u")
      put(UInt8(ascii: "0"))
      put(UInt8(ascii: "0"))
      put(Self.hexDigits[Int(byte >> 4)])
      put(Self.hexDigits[Int(byte & 15)])
    default: put(byte)
    }
  }

  private mutating func backslash() {
    put(UInt8(ascii: "\\"))
    if isNested { put(UInt8(ascii: "\\")) }
  }

  private mutating func short(_ letter: Unicode.Scalar) {
    backslash()
    put(UInt8(ascii: letter))
  }

  private static let hexDigits = Array("0123456789abcdef".utf8)
}
