// `downbeat status`: what was asked of each location, and when it resumes by itself.

internal import ArgumentParser

struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows which locations replicate, and when paused ones resume.",
    discussion: """
      `enabled` and `disabled` are what was asked for; a location just paused may still be finishing what it had taken. \
      `downbeat top` shows that too.
      """)

  @Argument(help: ArgumentHelp("One location. Default: all.", valueName: "location"))
  var location: LocationArgument?

  @OptionGroup var control: ControlOptions

  func run() throws {
    let client = try control.client()
    let states = try client.call(.get, control.path("status", location?.name))
    if control.json { return control.printBody(states) }
    let resumes = try client.call(.get, control.path("resume", location?.name))
    let dates = Dictionary(uniqueKeysWithValues: ControlReply.texts(resumes.body) ?? [])
    var table = TextTable(header: ["LOCATION", "STATE", "RESUMES"])
    for (name, state) in ControlReply.texts(states.body) ?? [] {
      let date = dates[name] ?? "none"
      table.add([name, state, date == "none" ? "-" : date])
    }
    printLines(table.lines)
    if let age = states.fields["x-downbeat-stale"] {
      StandardError.line("downbeat: the daemon cannot reach its state store; this is what it knew \(age) s ago")
    }
  }
}
