// `downbeat broker`: the embedded broker alone, for trying things out against it.

internal import ArgumentParser

struct Broker: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the embedded Kafka broker alone and prints its address.",
    discussion: """
      It is librdkafka's own mock cluster: it speaks the Kafka protocol over TCP on 127.0.0.1, keeps everything in memory, \
      about 5 MB per partition, and forgets it when it ends (Ctrl-C). The port is chosen by the system.
      """)

  @Option(parsing: .upToNextOption, help: ArgumentHelp("Topics to create at once.", valueName: "name"))
  var topic: [String] = []

  @Option(help: ArgumentHelp("Partitions of each of these topics.", valueName: "n"))
  var partitions = 1

  func validate() throws {
    guard (1...1000).contains(partitions) else { throw ValidationError("--partitions must be from 1 to 1000") }
    for name in topic where !TopicName.isLegal(name) {
      throw ValidationError("“\(name)” is not a Kafka topic name (letters, digits, `.`, `_`, `-`, at most 249)")
    }
  }

  func options() -> BrokerOptions { BrokerOptions(topics: topic, partitions: partitions) }
}
