import ArgumentParser

@main
struct Downbeat: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "downbeat", abstract: "Replicates object versions between locations.")
}
