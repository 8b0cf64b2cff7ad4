// `downbeat top`: the locations as they are now, again and again on a terminal, once anywhere else.

internal import ArgumentParser
internal import CLinux
internal import Glibc

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows every location's real state, entries running and waiting, and how far behind it is.",
    discussion: """
      On a terminal the table is redrawn every --interval seconds until Ctrl-C; otherwise it is printed once. STATE is the \
      worst of the live nodes: enabled, pausing, disabled or resuming.
      """)

  @Argument(help: ArgumentHelp("One location. Default: all.", valueName: "location"))
  var location: LocationArgument?

  @Option(help: ArgumentHelp("Seconds between two looks, 1 to 3600.", valueName: "seconds"))
  var interval = 2

  @OptionGroup var control: ControlOptions

  func validate() throws {
    guard (1...3600).contains(interval) else { throw ValidationError("--interval must be from 1 to 3600 seconds") }
  }

  func run() throws {
    let client = try control.client()
    if control.json { return control.printBody(try client.call(.get, path)) }
    guard isatty(1) == 1 else { return printLines(try lines(client)) }
    while true {
      // Home, then every line clears the rest of itself, then everything below: no flicker.
      let screen = try lines(client).map { $0 + "\u{1B}[K\n" }.joined()
      print("\u{1B}[H" + screen + "\u{1B}[J", terminator: "")
      fflush(nil)
      poll(nil, 0, Int32(interval * 1000))
    }
  }

  private var path: String {
    let one = location.flatMap { $0.name == "all" ? nil : $0.name }
    return "/_/\(control.service.rawValue)/locations" + (one.map { "/" + ControlURL.segment($0) } ?? "")
  }

  private func lines(_ client: ControlClient) throws -> [String] {
    let reply = try client.call(.get, path)
    let isOne = path.hasSuffix("/locations") == false
    let locations =
      isOne
      ? [try ControlReply.decode(ControlReply.Location.self, reply.body)]
      : try ControlReply.decode(ControlReply.Locations.self, reply.body).locations
    return Self.table(locations)
  }

  static func table(_ locations: [ControlReply.Location]) -> [String] {
    var table = TextTable(
      header: ["LOCATION", "STATE", "SINCE", "RUNNING", "WAITING", "BEHIND", "NODES", "RESUMES"], rightAligned: [3, 4, 5, 6])
    for location in locations.sorted(by: { $0.location < $1.location }) {
      let resume = location.scheduledResume ?? "none"
      table.add([
        location.location, location.state, location.since ?? "-", String(location.inFlight),
        location.queued.map(String.init) ?? "-", location.lag.map(String.init) ?? "-", String(location.nodes?.count ?? 0),
        resume == "none" ? "-" : resume,
      ])
    }
    return table.lines + remarks(locations)
  }

  /// What no column can say: lost entries and notes, each once.
  private static func remarks(_ locations: [ControlReply.Location]) -> [String] {
    var lines: [String] = []
    for location in locations {
      for gap in location.gaps ?? [] {
        lines.append(
          "\(location.location): entries \(gap.from) to \(gap.to - 1) of \(gap.topic)/\(gap.partition) were dropped by the broker unread"
        )
      }
      for task in location.stuck ?? [] {
        lines.append("\(location.location): \(task.bucket)/\(task.key) (\(task.topic)/\(task.partition)) has been running since \(task.since)")
      }
    }
    for note in locations.flatMap({ $0.notes ?? [] }) where !lines.contains(note) { lines.append(note) }
    return lines.isEmpty ? [] : [""] + lines
  }
}
