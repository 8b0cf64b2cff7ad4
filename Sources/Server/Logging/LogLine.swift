// One log event as one line of bytes: JSON for machines, plain words for a person.
//
// A line never exceeds `bytesMax`, the size a pipe takes whole (PIPE_BUF), so lines of different threads never mix. Control
// characters are escaped in both forms: an object's key must not be able to paint on an operator's terminal.

internal import Logging
internal import PipelineCore

struct LogLine {
  /// PIPE_BUF on Linux.
  static let bytesMax = 4096
  /// A value longer than this is cut and ends in `…`.
  static let valueBytesMax = 1024
  /// Kept free for the end of the line.
  private static let reserve = 32

  private var bytes: [UInt8] = []
  /// True once a member found no room; the line says so and takes no more.
  private var isFull = false

  // MARK: JSON

  /// `{"time":"…","level":"info","message":"…","logger":"…",fields…}` and a line feed.
  static func json(timeMs: Int64, label: String, event: LogEvent, fields: Logger.Metadata) -> [UInt8] {
    var line = LogLine()
    line.bytes.reserveCapacity(256)
    line.bytes += Array("{".utf8)
    line.member("time", .string(ISO8601.string(ms: timeMs)), first: true)
    line.member("level", .string(word(event.level)))
    line.member("message", .string(event.message.description))
    line.member("logger", .string(label))
    if let error = event.error { line.member(errorKey, .string("\(error)")) }
    for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
      let isTaken = key == errorKey ? event.error != nil : reservedKeys.contains(key)
      line.member(isTaken ? key + "_" : key, value)
    }
    line.bytes += Array("}\n".utf8)
    return line.bytes
  }

  private static let reservedKeys: Set<String> = ["time", "level", "message", "logger", "truncated"]
  /// Taken only by an error that the event itself carries.
  private static let errorKey = "error"

  /// Backbeat's words, which are also the configuration's.
  static func word(_ level: Logger.Level) -> String {
    switch level {
    case .trace: "trace"
    case .debug: "debug"
    case .info, .notice: "info"
    case .warning: "warn"
    case .error: "error"
    case .critical: "fatal"
    }
  }

  /// Appends one member; the first that finds no room becomes `"truncated":true`.
  private mutating func member(_ key: String, _ value: Logger.MetadataValue, first: Bool = false) {
    guard !isFull else { return }
    let start = bytes.count
    if !first { bytes.append(UInt8(ascii: ",")) }
    text(key)
    bytes.append(UInt8(ascii: ":"))
    append(value)
    if bytes.count > Self.bytesMax - Self.reserve {
      bytes.removeLast(bytes.count - start)
      bytes += Array(#","truncated":true"#.utf8)
      isFull = true
    }
  }

  private mutating func append(_ value: Logger.MetadataValue) {
    switch value {
    case .string(let string): text(string)
    case .stringConvertible(let number as any BinaryInteger): bytes += Array("\(number)".utf8)
    case .stringConvertible(let flag as Bool): bytes += Array((flag ? "true" : "false").utf8)
    case .stringConvertible(let other): text(other.description)
    case .array(let items):
      bytes.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        append(item)
      }
      bytes.append(UInt8(ascii: "]"))
    case .dictionary(let members):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        text(member.key)
        bytes.append(UInt8(ascii: ":"))
        append(member.value)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private mutating func text(_ string: String) {
    bytes.append(UInt8(ascii: "\""))
    for scalar in Self.cut(string).unicodeScalars {
      switch scalar {
      case "\"": bytes += Array("\\\"".utf8)
      case "\\": bytes += Array("\\\\".utf8)
      case "\n": bytes += Array("\\n".utf8)
      case "\t": bytes += Array("\\t".utf8)
      case _ where Self.isControl(scalar): bytes += Array("\\u00\(Self.hex(scalar))".utf8)
      default: bytes += Array(String(scalar).utf8)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  // MARK: Words

  /// `12:34:56 warn: message (key=value, …)` and a line feed; the level only when it is not info.
  static func human(timeMs: Int64, event: LogEvent, fields: Logger.Metadata) -> [UInt8] {
    var text = String(ISO8601.string(ms: timeMs).dropFirst(11).prefix(8)) + " "
    if event.level != .info && event.level != .notice { text += word(event.level) + ": " }
    text += plain(event.message.description)
    var details = fields.sorted { $0.key < $1.key }.map { "\($0.key)=\(plain($0.value.description))" }
    if let error = event.error { details.append(plain("\(error)")) }
    if !details.isEmpty { text += " (" + details.joined(separator: ", ") + ")" }
    return Array(cut(text, bytesMax: bytesMax - reserve).utf8) + [UInt8(ascii: "\n")]
  }

  private static func plain(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return cut(text) }
    return cut(text).unicodeScalars.map { isControl($0) ? "\\x\(hex($0))" : String($0) }.joined()
  }

  // MARK: Characters

  /// C0, DEL and C1: what a terminal may obey.
  private static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) }

  private static func hex(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
  }

  private static func cut(_ text: String, bytesMax: Int = valueBytesMax) -> String {
    guard text.utf8.count > bytesMax else { return text }
    var end = text.utf8.index(text.startIndex, offsetBy: bytesMax - 3)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return text[..<end] + "…"
  }
}
