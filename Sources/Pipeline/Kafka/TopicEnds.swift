// Where the log of a topic begins and ends. The same for every group that reads it, so who asks while the question of another
// consumer is still to be sent shares its answer: a node has one consumer for each location, and most often one topic for all.
//
// Invariant: an answer is never given to somebody who asked after the brokers were.
internal import PipelineCore
internal import Reactor

/// A topic of one cluster.
struct TopicName: Hashable, Sendable {
  let brokers: String
  let topic: String
}

struct TopicEnds: Sendable {
  let partitions: [Partition]
  /// First offset the log still holds.
  let low: [Partition: Int64]
  /// Offset the next message will get.
  let high: [Partition: Int64]

  /// When the brokers were asked.
  let askedAt: Instant

  /// Topics remembered. Beyond it all are forgotten: a node has a few.
  static let keptMax = 64
  private static let answers = Lock<[TopicName: TopicEnds]>([:])

  /// - Thread: any. - Blocking: no longer than another thread takes to copy a reference.
  func keep(_ name: TopicName) {
    Self.answers.withLock { answers in
      if answers.count >= Self.keptMax { answers.removeAll() }
      answers[name] = self
    }
  }

  /// What the brokers answered to a question asked after `wantedAt`.
  static func kept(_ name: TopicName, since wantedAt: Instant) -> TopicEnds? {
    answers.withLock { answers in answers[name].flatMap { $0.askedAt > wantedAt ? $0 : nil } }
  }
}
