// `downbeat metrics`: what each location has to do, did and could not do.

internal import ArgumentParser

struct Metrics: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what is pending, was completed and has failed, and the rate.",
    discussion: "Completed and failed are of the last 24 hours, rates of the last 15 minutes. --json prints Backbeat's own answer.")

  @Argument(help: ArgumentHelp("One location. Default: each, and all together.", valueName: "location"))
  var location: LocationArgument?

  @OptionGroup var control: ControlOptions

  func run() throws {
    let client = try control.client()
    if control.json { return control.printBody(try client.call(.get, path(location?.name ?? "all"))) }
    var table = TextTable(
      header: ["LOCATION", "PENDING", "COMPLETED", "BYTES", "FAILED", "OBJECTS/S", "BYTES/S"], rightAligned: [1, 2, 3, 4, 5, 6])
    for name in try names(client) {
      let reply = try client.call(.get, path(name))
      let metrics = try ControlReply.decode(ControlReply.Metrics.self, reply.body)
      table.add([
        name, String(metrics.pending.results.count), String(metrics.completions.results.count),
        metrics.completions.results.size.map { Figures.bytes($0) } ?? "-",
        metrics.failures.map { String($0.results.count) } ?? "-", metrics.throughput.results.count,
        metrics.throughput.results.size ?? "-",
      ])
    }
    printLines(table.lines)
  }

  private func path(_ location: String) -> String {
    "/_/metrics/\(control.service.rawValue)/\(ControlURL.segment(location))"
  }

  private func names(_ client: ControlClient) throws -> [String] {
    if let location { return [location.name] }
    let reply = try client.call(.get, control.path("status", nil))
    let states = try ControlReply.decode([String: String].self, reply.body)
    return states.keys.sorted() + (states.count > 1 ? ["all"] : [])
  }
}
