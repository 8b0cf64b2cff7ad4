// Orders on the control bus (backbeat-behaviour 2.1, product contract 4) in Backbeat's JSON.
//
// A message with `origin` was sent by a Downbeat node after the state was stored: it only wakes. One without is a
// foreign order, to be carried out. Members nobody knows are ignored; an unknown action is an error of the sender.

public struct ControlMessage: Hashable, Sendable {
  public enum Action: Hashable, Sendable {
    case pause
    case resume
    /// Resume at that time: Unix ms. One that is not in the future means now.
    case schedule(atMs: Int64)
    /// Forget a scheduled resume.
    case unschedule
  }

  public var action: Action
  /// Node id of the sender, if it is one of ours.
  public var origin: String?
  /// Version of the stored state the sender wrote.
  public var version: Int64?

  public init(_ action: Action, origin: String? = nil, version: Int64? = nil) {
    self.action = action
    self.origin = origin
    self.version = version
  }

  /// Only a wake-up: the receiver reads the stored state and writes nothing.
  public var isWakeUp: Bool { origin != nil }

  public static let bytesMax = 64 << 10

  /// - Throws: what is wrong, with a stable code.
  public init(parsing bytes: [UInt8]) throws(JSONValue.Malformed) {
    let json = try JSONValue(parsing: bytes, bytesMax: Self.bytesMax)
    guard json.members != nil else { throw JSONValue.Malformed(code: "not-an-object", position: 0) }
    switch json["action"]?.string {
    case "pauseService": action = .pause
    case "resumeService": action = try Self.resume(json["date"])
    case "deleteScheduledResumeService": action = .unschedule
    default: throw JSONValue.Malformed(code: "unknown-action", position: 0)
    }
    origin = json["origin"]?.string
    version = json["version"]?.int
  }

  private static func resume(_ date: JSONValue?) throws(JSONValue.Malformed) -> Action {
    guard let date, !date.isNull else { return .resume }
    guard let text = date.string, let ms = ISO8601.ms(text) else {
      throw JSONValue.Malformed(code: "bad-date", position: 0)
    }
    return .schedule(atMs: ms)
  }

  /// With the bytes Backbeat's API publishes; `origin` and `version` behind them where there are any.
  public var bytes: [UInt8] {
    var writer = JSONWriter(reservingCapacity: 128)
    writer.beginObject()
    switch action {
    case .pause: writer.member("action", "pauseService")
    case .resume: writer.member("action", "resumeService")
    case .schedule(let atMs):
      writer.member("action", "resumeService")
      writer.member("date", ISO8601.string(ms: atMs))
    case .unschedule: writer.member("action", "deleteScheduledResumeService")
    }
    if let origin { writer.member("origin", origin) }
    if let version {
      writer.name("version")
      writer.int(version)
    }
    writer.endObject()
    return writer.bytes
  }

  /// `<topic>-<location>`, the topic without any prefix (backbeat-behaviour 2.1).
  public static func channel(topic: String, location: String) -> String { "\(topic)-\(location)" }
}
