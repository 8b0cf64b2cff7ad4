// `downbeat health`: is the daemon alive, and can it work?

internal import ArgumentParser

struct Health: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Asks the daemon whether it is alive and ready.",
    discussion: "Exit code 0: ready. 1: it cannot be reached, or something it needs is away; the reasons are printed.")

  @OptionGroup var control: ControlOptions

  func run() throws {
    let client = try control.client()
    let ready = try client.send(.get, "/_/ready")
    if control.json { control.printBody(ready) }
    guard ready.status == 200 else {
      throw CommandFailure.running("\(client.url) is not ready (\(ready.status)): \(Self.reasons(ready.body))")
    }
    if !control.json { print("\(client.url): ready") }
  }

  private static func reasons(_ body: [UInt8]) -> String {
    do throws(CommandFailure) {
      return try ControlReply.decode([ControlReply.Problem].self, body).map(\.description).joined(separator: ", ")
    } catch {
      // Not the daemon's list (a proxy in between): as it came.
      return String(decoding: body.prefix(500), as: UTF8.self)
    }
  }
}
