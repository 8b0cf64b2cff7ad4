// What one of our nodes says when it begins to store a pause, on a channel that only our nodes know (`ControlChannels`): hold
// entries back, the state will tell. Storing takes as long as the store's disks do, and entries would go on starting meanwhile.
//
// Invariant: it commands nothing. Without the stored state behind it, entries are held back for a moment and go on.

public struct PauseAnnouncement: Hashable, Sendable {
  public var location: String
  /// Node id of the sender.
  public var origin: String
  /// Version of the stored state that the sender means to replace: who knows a later one has heard what came of it.
  public var after: Int64

  public init(location: String, origin: String, after: Int64) {
    self.location = location
    self.origin = origin
    self.after = after
  }

  /// - Throws: what is wrong, with a stable code.
  public init(parsing bytes: [UInt8]) throws(JSONValue.Malformed) {
    let json = try JSONValue(parsing: bytes, bytesMax: ControlMessage.bytesMax)
    guard let location = json["location"]?.string, let origin = json["origin"]?.string, let after = json["after"]?.int else {
      throw JSONValue.Malformed(code: "not-an-announcement", position: 0)
    }
    self.init(location: location, origin: origin, after: after)
  }

  public var bytes: [UInt8] {
    var writer = JSONWriter(reservingCapacity: 128)
    writer.beginObject()
    writer.member("location", location)
    writer.member("origin", origin)
    writer.name("after")
    writer.int(after)
    writer.endObject()
    return writer.bytes
  }
}
