// Where a location stands in its topic, for those who look at it: asked of the brokers at most once at a time however many
// ask, and answered in bounded time. A question to a broker waits behind the fetch that is open on its connection, so a node
// of a hundred locations would let its operators wait a minute.
internal import PipelineCore
internal import Reactor

/// The last answer, and who waits for the next.
struct KeptSurvey {
  typealias Reply = ([PartitionSurvey]?) -> Void

  var last: (partitions: [PartitionSurvey], at: Instant)?
  /// Askers are numbered. Those up to this one get the answer that is on its way; nil: none is.
  var askingFor: UInt64?
  var waiting: [UInt64: (reply: Reply, timer: TimerToken)] = [:]
  var count: UInt64 = 0
}

extension LocationController {
  /// How long anybody waits for the brokers. Then an older answer has to do, while they are still asked.
  static let surveyWaitMax = Duration.milliseconds(1_500)
  /// Older answers are worse than none.
  static let surveyKeptFor = Duration.seconds(60)

  /// Asks the brokers where every partition of the topic stands.
  /// - Thread: reactor. - Blocking: never.
  /// - Returns: by the callback, within `surveyWaitMax`: the brokers' answer; nil if they give none; one of the last minute, if
  ///   there is one, while they are slow.
  public func survey(_ reply: @escaping ([PartitionSurvey]?) -> Void) {
    keptSurvey.count += 1
    let id = keptSurvey.count
    let timer = reactor.schedule(after: Self.surveyWaitMax) { [weak self] _ in self?.surveyIsLate(id) }
    keptSurvey.waiting[id] = (reply, timer)
    askBrokers()
  }

  /// Unless they are being asked already: an answer on its way may be older than the question.
  private func askBrokers() {
    guard keptSurvey.askingFor == nil, !keptSurvey.waiting.isEmpty else { return }
    keptSurvey.askingFor = keptSurvey.count
    consumer.survey { [weak self] result in self?.surveyEnded(result) }
  }

  private func surveyEnded(_ result: Result<[PartitionSurvey], KafkaError>) {
    let last = keptSurvey.askingFor.take() ?? 0
    var answer: [PartitionSurvey]?
    if case .success(let partitions) = result {
      answer = partitions
      keptSurvey.last = (partitions, reactor.now)
    }
    for id in keptSurvey.waiting.keys.filter({ $0 <= last }).sorted() {
      guard let asker = keptSurvey.waiting.removeValue(forKey: id) else { continue }
      reactor.cancel(asker.timer)
      asker.reply(answer)
    }
    askBrokers()
  }

  private func surveyIsLate(_ id: UInt64) {
    let last = keptSurvey.last.flatMap { reactor.now - $0.at < Self.surveyKeptFor ? $0.partitions : nil }
    keptSurvey.waiting.removeValue(forKey: id)?.reply(last)
  }
}
