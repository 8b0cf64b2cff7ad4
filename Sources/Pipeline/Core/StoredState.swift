// The stored state of a location (backbeat-behaviour 2.3): a JSON object of which two members are ours.
//
// Invariant: members this build does not know are written back as they were read, in their order. Each order leaves
// the object as Backbeat's own processors would (with B3 and B4 done right: an order to pause or resume cancels a
// scheduled resume whatever the state was, and a new schedule replaces the old one).
// It deliberately has no clock: the time comes with the order.

public struct StoredState: Hashable, Sendable {
  /// Whatever is stored, as it stands.
  public private(set) var json: JSONValue

  public static let bytesMax = 64 << 10

  /// What a location starts with: `{"paused":false}`, for ingestion `{"paused":true}`.
  public init(paused: Bool) { json = .object([.init("paused", .bool(paused))]) }

  /// - Throws: for anything but a JSON object.
  public init(parsing bytes: [UInt8]) throws(JSONValue.Malformed) {
    json = try JSONValue(parsing: bytes, bytesMax: Self.bytesMax)
    guard json.members != nil else { throw JSONValue.Malformed(code: "not-an-object", position: 0) }
  }

  public var bytes: [UInt8] { json.bytes }

  /// The `paused` member as JavaScript takes it: anything but false, null, 0 and "" is true.
  public var paused: Bool {
    switch json["paused"] {
    case nil, .null, .bool(false), .string(""): false
    case .number(let text): text.contains { ("1"..."9").contains($0) }
    default: true
    }
  }

  /// Unix ms of the scheduled resume, nil if there is none (or none that can be read).
  public var scheduledResumeMs: Int64? { json["scheduledResume"]?.string.flatMap(ISO8601.ms) }

  /// What the location should be: a scheduled resume means that it is paused, whatever `paused` says
  /// (backbeat-behaviour 2.5).
  public var isPaused: Bool { paused || scheduledResumeMs != nil }

  /// Carries out an order.
  /// - Parameter nowMs: Unix ms, to tell whether a scheduled time is in the future.
  /// - Returns: false if the object is the same as before: nothing to write.
  public mutating func apply(_ action: ControlMessage.Action, nowMs: Int64) -> Bool {
    let before = json
    switch action {
    case .pause: set(paused: true)
    case .resume: set(paused: false)
    case .schedule(let atMs):
      // Only a paused location can be scheduled; a time that is over means now.
      guard isPaused else { break }
      if atMs > nowMs {
        json.set("paused", .bool(true))
        json.set("scheduledResume", .string(ISO8601.string(ms: atMs)))
      } else {
        set(paused: false)
      }
    case .unschedule:
      // Where a schedule was all that held it, it stays paused.
      let stays = isPaused
      json.set("scheduledResume", .null)
      if stays != paused { json.set("paused", .bool(stays)) }
    }
    return json != before
  }

  /// The timer's part: resumes if the stored time is over.
  /// - Returns: false if it is not due: then another node or operator was first, and nothing is to be written.
  public mutating func fireIfDue(nowMs: Int64) -> Bool {
    guard let due = scheduledResumeMs, due <= nowMs else { return false }
    return apply(.resume, nowMs: nowMs)
  }

  private mutating func set(paused: Bool) {
    json.set("paused", .bool(paused))
    // As Backbeat leaves it after any pause or resume: the member is there, and null.
    json.set("scheduledResume", .null)
  }
}
