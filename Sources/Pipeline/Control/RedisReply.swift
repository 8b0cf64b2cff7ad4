// A reply of Redis as a value: hiredis frees its own right after the callback.
internal import CHiredis

enum RedisReply: Hashable, Sendable {
  case null
  case integer(Int64)
  case status(String)
  case error(String)
  case bytes([UInt8])
  /// A string longer than `bytesMax`: only its length is kept.
  case tooLong(Int)
  case array([RedisReply])

  /// A control message is a hundred bytes. What is longer is somebody else's, and not worth a copy.
  static let bytesMax = 65_536

  /// - Parameter reply: valid during the call.
  init(copying reply: UnsafeMutablePointer<redisReply>) {
    let value = reply.pointee
    switch value.type {
    case REDIS_REPLY_INTEGER: self = .integer(value.integer)
    case REDIS_REPLY_STATUS: self = .status(Self.text(value))
    case REDIS_REPLY_ERROR: self = .error(Self.text(value))
    case REDIS_REPLY_STRING where value.len > Self.bytesMax: self = .tooLong(value.len)
    case REDIS_REPLY_STRING:
      let raw = UnsafeRawBufferPointer(start: value.str, count: value.len)
      self = .bytes(Array(raw))
    case REDIS_REPLY_ARRAY:
      self = .array((0..<value.elements).map { RedisReply(copying: value.element[$0]!) })
    default: self = .null
    }
  }

  private static func text(_ value: redisReply) -> String {
    String(decoding: UnsafeRawBufferPointer(start: value.str, count: value.len), as: UTF8.self)
  }

  /// A bulk or status string as text.
  var text: String? {
    switch self {
    case .status(let text): text
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    case .null, .integer, .error, .tooLong, .array: nil
    }
  }

  var elements: [RedisReply]? { if case .array(let items) = self { items } else { nil } }
  var errorText: String? { if case .error(let text) = self { text } else { nil } }
}
