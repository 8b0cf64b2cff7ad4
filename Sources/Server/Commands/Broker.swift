// `downbeat broker`: the embedded broker alone, for trying things out against it.

internal import ArgumentParser
internal import CLinux
internal import Glibc
internal import Pipeline
internal import Reactor

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

  func run() throws {
    SignalSource.block()
    let broker: EmbeddedBroker
    do {
      broker = try EmbeddedBroker(topics: topic.map { EmbeddedBroker.Topic($0, partitions: partitions) })
    } catch {
      throw CommandFailure.running("the broker cannot be started: \(error)")
    }
    do {
      let reactor = try Reactor(name: "broker")
      let signals = try SignalSource(reactor: reactor) { reactor, signal in
        if signal == .interrupt || signal == .terminate { reactor.stop() }
      }
      print(broker.bootstrapServers)
      fflush(nil)  // the reader may be a program that waits for this line
      withExtendedLifetime((broker, signals)) { reactor.run() }
    } catch {
      throw CommandFailure.running("the broker cannot be started: \(error)")
    }
  }
}
