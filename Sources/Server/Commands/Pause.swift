// `downbeat pause` and `downbeat resume`.

internal import ArgumentParser

struct Pause: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pauses a location: it takes no further entry. What it has taken finishes.",
    discussion: """
      The pause is stored before this command ends and survives restarts. A scheduled resume is cancelled. With --wait the \
      command ends 0 when nothing of the location is running any more on any node, or 1 when that takes longer; the pause \
      itself stands in both cases.
      """)

  @Argument(help: ArgumentHelp("The location, or `all`.", valueName: "location"))
  var location: LocationArgument

  @Option(help: ArgumentHelp("Wait up to so many seconds, 1 to 3600, until everything taken has finished.", valueName: "seconds"))
  var wait: Int?

  @OptionGroup var control: ControlOptions

  func validate() throws {
    if let wait, !(1...3600).contains(wait) { throw ValidationError("--wait must be from 1 to 3600 seconds") }
  }

  func run() throws {
    var client = try control.client()
    client.extraWait = .seconds(wait ?? 0)
    let reply = try client.call(.post, control.path("pause", location.name, wait.map { "?wait=\($0)" } ?? ""))
    if control.json { control.printBody(reply) }
    guard wait != nil else {
      if !control.json { print("\(location.name): paused; what was already taken finishes") }
      return
    }
    let drains = try ControlReply.decode([String: ControlReply.Drain].self, reply.body).sorted { $0.key < $1.key }
    if !control.json { printLines(Self.lines(drains)) }
    if reply.status == 202 { throw CommandFailure.running("paused, but not finished within \(wait ?? 0) s") }
  }

  /// One line a location, and one for each node that still has something running.
  static func lines(_ drains: [(key: String, value: ControlReply.Drain)]) -> [String] {
    drains.flatMap { name, drain in
      let busy = (drain.nodes ?? []).filter { $0.inFlight > 0 || $0.state != "disabled" }
      let head =
        drain.state == "disabled" && drain.inFlight == 0
        ? "\(name): paused, nothing running" : "\(name): \(drain.state), \(drain.inFlight) running"
      return [head]
        + busy.map { "  node \($0.id): \($0.state), \($0.inFlight) running" + ($0.lastSeen.map { ", last seen \($0)" } ?? "") }
    }
  }
}

struct Resume: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Resumes a location where it stopped: nothing skipped, nothing finished repeated.",
    discussion: "A scheduled resume is cancelled. Resuming a location that is not paused changes nothing.")

  @Argument(help: ArgumentHelp("The location. Default: all.", valueName: "location"))
  var location: LocationArgument?

  @OptionGroup var control: ControlOptions

  func run() throws {
    let reply = try control.client().call(.post, control.path("resume", location?.name))
    if control.json { control.printBody(reply) } else { print("\(location?.name ?? "all"): resumed") }
  }
}
