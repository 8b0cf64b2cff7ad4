// `downbeat schedule` and `downbeat unschedule`.

internal import ArgumentParser

struct Schedule: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lets a paused location resume by itself after so many hours.",
    discussion: """
      The moment is stored, survives restarts and replaces an earlier one. Pausing or resuming by hand cancels it. A \
      location that is not paused is left alone.
      """)

  @Argument(help: ArgumentHelp("The location, or `all` for every paused one.", valueName: "location"))
  var location: LocationArgument

  @Option(help: ArgumentHelp("Hours from now, 1 to 87600.", valueName: "n"))
  var hours: Int

  @OptionGroup var control: ControlOptions

  func validate() throws {
    guard (1...87_600).contains(hours) else { throw ValidationError("--hours must be from 1 to 87600") }
  }

  func run() throws {
    let client = try control.client()
    let reply = try client.call(.post, control.path("resume", location.name, "/schedule"), body: #"{"hours":\#(hours)}"#)
    if control.json { return control.printBody(reply) }
    let dates = try client.call(.get, control.path("resume", location.name))
    for (name, date) in ControlReply.texts(dates.body) ?? [] {
      print(date == "none" ? "\(name): not paused, nothing to schedule" : "\(name): resumes \(date)")
    }
  }
}

struct Unschedule: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Cancels a scheduled resume; the location stays paused.")

  @Argument(help: ArgumentHelp("The location. Default: all.", valueName: "location"))
  var location: LocationArgument?

  @OptionGroup var control: ControlOptions

  func run() throws {
    let reply = try control.client().call(.delete, control.path("resume", location?.name, "/schedule"))
    if control.json { control.printBody(reply) } else { print("\(location?.name ?? "all"): no resume is scheduled") }
  }
}
