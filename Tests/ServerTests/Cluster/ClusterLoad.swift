// Entries flowing into a deployment's topic at a steady rate, from a thread of its own.
import Logging
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// What the thread counts. Acknowledged ones only.
private final class LoadCounts: Sendable {
  let counts = Lock((sent: 0, delivered: 0, isSending: true, isClosed: false))
}

private final class LoadSender: ProducerDelegate {
  static let period = Duration.milliseconds(10)

  let shared: LoadCounts
  var producer: Producer!
  private let topic: String
  private let sites: [String]
  private let perPeriod: Int

  init(_ shared: LoadCounts, topic: String, sites: [String], perSecond: Int) {
    self.shared = shared
    self.topic = topic
    self.sites = sites
    perPeriod = max(1, perSecond / 100)
  }

  func tick(_ reactor: Reactor) {
    guard shared.counts.withLock({ $0.isSending }) else { return producer.close() }
    for _ in 0..<perPeriod {
      let number = shared.counts.withLock { $0.sent }
      var object = ObjectRecord(
        bucket: "photos", key: "cat-\(number % 997)", versionId: nil, lastModified: "2031-02-03T04:05:06.789Z", sites: sites)
      object.contentLength = 10
      object.contentMD5 = "0cc175b9c0f1b6a831c399e269772661"
      do throws(KafkaError) {
        try producer.produce(
          topic: topic, key: EntryEncoder.messageKey(bucket: object.bucket, key: object.key),
          value: EntryEncoder.populated(object), token: UInt64(number))
        shared.counts.withLock { $0.sent += 1 }
      } catch {
        break  // full: the next period is soon
      }
    }
    reactor.schedule(after: Self.period) { [self] in tick($0) }
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) {
    shared.counts.withLock { $0.delivered += delivery.error == nil ? 1 : 0 }
  }
  func producer(_ producer: Producer, failed error: KafkaError) {}
  func producerDidClose(_ producer: Producer) { shared.counts.withLock { $0.isClosed = true } }
}

final class ClusterLoad {
  private let shared = LoadCounts()
  private let thread: ReactorThread

  init(_ cluster: Cluster, perSecond: Int) throws {
    let properties = try KafkaProperties(bootstrapServers: cluster.servers.kafkaAddress)
    thread = try ReactorThread.start(name: "load") { [shared, topic = cluster.topic, sites = cluster.locations] reactor in
      let sender = LoadSender(shared, topic: topic, sites: sites, perSecond: perSecond)
      do {
        sender.producer = try Producer(ProducerConfiguration(properties: properties), on: reactor, delegate: sender)
        reactor.schedule(after: .zero) { sender.tick($0) }
      } catch {
        Issue.record("\(error)")
      }
    }
  }

  /// Stops sending and waits for the last acknowledgement. - Returns: entries that are in the topic.
  func stop() -> Int {
    shared.counts.withLock { $0.isSending = false }
    #expect(eventually(within: Cluster.patience) { shared.counts.withLock { $0.isClosed } })
    thread.handle.stop()
    thread.join()
    let (sent, delivered) = shared.counts.withLock { ($0.sent, $0.delivered) }
    #expect(sent == delivered, "entries were not acknowledged")
    return delivered
  }
}
