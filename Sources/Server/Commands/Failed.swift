// `downbeat failed` and `downbeat retry`: what could not be replicated, and another try.

internal import ArgumentParser
internal import PipelineCore

struct Failed: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists what could not be replicated to a location, newest first.",
    discussion: "A page holds about a hundred; its last line names the command for the next one.")

  @Argument(help: ArgumentHelp("The location.", valueName: "location"))
  var location: LocationArgument

  @Option(help: ArgumentHelp("Where the page begins, as the page before said (Unix milliseconds).", valueName: "m"))
  var marker: Int64?

  @OptionGroup var control: ControlOptions

  func validate() throws { try FailedCalls.refuseAll(location) }

  func run() throws {
    let client = try control.client()
    let reply = try client.call(.get, FailedCalls.path(location.name, marker: marker))
    if control.json { return control.printBody(reply) }  // of a location nobody has the list is empty, as in the API
    let page = try ControlReply.decode(ControlReply.FailedPage.self, reply.body)
    if page.Versions.isEmpty {
      try FailedCalls.requireLocation(location.name, client)
      return print("\(location.name): nothing has failed")
    }
    var table = TextTable(
      header: ["BUCKET", "KEY", "VERSION", "SIZE", "LAST MODIFIED", "TRIES", "REASON"], rightAligned: [3, 5])
    for item in page.Versions {
      table.add([
        item.Bucket, item.Key, item.VersionId ?? "-", String(item.Size), item.LastModified.isEmpty ? "-" : item.LastModified,
        item.Attempts.map(String.init) ?? "-", item.Reason ?? "-",
      ])
    }
    printLines(table.lines)
    if let next = page.NextMarker { print("more: downbeat failed \(location.name) --marker \(next)") }
  }
}

struct Retry: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Tries failed objects of a location again.",
    discussion: """
      Either --all that is in the list of `downbeat failed LOCATION`, or one object. What succeeds leaves the list; what \
      fails again stays in it.
      """)

  @Argument(help: ArgumentHelp("The location.", valueName: "location"))
  var location: LocationArgument

  @Argument(help: ArgumentHelp("The object's bucket.", valueName: "bucket"))
  var bucket: String?

  @Argument(help: ArgumentHelp("The object's key.", valueName: "key"))
  var key: String?

  @Option(help: ArgumentHelp("The object's version, as `failed` shows it.", valueName: "v"))
  var versionId: String?

  @Flag(help: "Everything that is in the location's list now.")
  var all = false

  @Flag(help: "Try an object although no failure of it is recorded.")
  var force = false

  @OptionGroup var control: ControlOptions

  func validate() throws {
    if all == (bucket != nil) { throw ValidationError("say --all, or name a bucket and a key") }
    if bucket != nil && key == nil { throw ValidationError("name a key as well") }
    if all && force { throw ValidationError("--force is for one object") }
    if all && versionId != nil { throw ValidationError("--version-id is for one object") }
    try FailedCalls.refuseAll(location)
  }

  func run() throws {
    let client = try control.client()
    let wanted = all ? try FailedCalls.everything(at: location.name, client) : [named]
    if wanted.isEmpty {
      try FailedCalls.requireLocation(location.name, client)
      return print(control.json ? "[]" : "\(location.name): nothing has failed")
    }
    var queued: [JSONValue] = []
    for start in stride(from: 0, to: wanted.count, by: FailedCalls.retriesPerCallMax) {
      let part = wanted[start..<min(start + FailedCalls.retriesPerCallMax, wanted.count)]
      let reply = try client.call(.post, "/_/crr/failed", body: FailedCalls.body(Array(part), at: location.name, force: force))
      queued += try ControlReply.array(reply.body)
    }
    print(control.json ? "\(JSONValue.array(queued))" : "\(location.name): \(queued.count) of \(wanted.count) will be tried again")
    if queued.isEmpty {
      throw CommandFailure.running(
        force ? "the source does not have it" : "no failure of it is recorded; --force tries it all the same, if the source has it")
    }
    if queued.count < wanted.count { throw SilentExit(status: ExitStatus.failed) }
  }

  private var named: ControlReply.FailedItem {
    ControlReply.FailedItem(Bucket: bucket ?? "", Key: key ?? "", VersionId: versionId, Size: 0, LastModified: "")
  }
}

/// The API's calls about failures.
enum FailedCalls {
  /// Keys are at most about a kilobyte and the API takes a megabyte.
  static let retriesPerCallMax = 200
  /// A list of a million failures ends here; the rest is for the next `retry`.
  static let pagesMax = 10_000

  /// Each location has a list of its own.
  static func refuseAll(_ location: LocationArgument) throws {
    if location.name == "all" { throw ValidationError("name one location: each has a list of its own") }
  }

  /// An empty list may be that of a location nobody has. - Errors: the daemon's answer then, a 404.
  static func requireLocation(_ location: String, _ client: ControlClient) throws(CommandFailure) {
    _ = try client.call(.get, "/_/crr/status/\(ControlURL.segment(location))")
  }

  static func path(_ location: String, marker: Int64?) -> String {
    "/_/crr/failed?sitename=\(ControlURL.segment(location))" + (marker.map { "&marker=\($0)" } ?? "")
  }

  /// The whole list, page by page; an object that two pages show is taken once.
  static func everything(at location: String, _ client: ControlClient) throws(CommandFailure) -> [ControlReply.FailedItem] {
    var items: [ControlReply.FailedItem] = []
    var seen: Set<ControlReply.FailedItem> = []
    var marker: Int64?
    for _ in 0..<pagesMax {
      let reply = try client.call(.get, path(location, marker: marker))
      let page = try ControlReply.decode(ControlReply.FailedPage.self, reply.body)
      for item in page.Versions where seen.insert(item).inserted { items.append(item) }
      guard let next = page.NextMarker, next != marker else { break }
      marker = next
    }
    return items
  }

  static func body(_ items: [ControlReply.FailedItem], at location: String, force: Bool) -> String {
    var json = JSONWriter()
    json.beginArray()
    for item in items {
      json.beginObject()
      json.member("Bucket", item.Bucket)
      json.member("Key", item.Key)
      if let version = item.VersionId { json.member("VersionId", version) }
      json.member("StorageClass", location)
      if force {
        json.name("ForceRetry")
        json.bool(true)
      }
      json.endObject()
    }
    json.endArray()
    return String(decoding: json.bytes, as: UTF8.self)
  }
}
