// How far copies are, told to the metrics topic object by object (backbeat-behaviour 4.8, 10.1): the bytes there are once an object's
// copy moves, then what was copied of them, in steps of a large object and at the end of every one. Backbeat's replication processors
// do the same, and whoever of either consumes the topic keeps it in Redis for a day.
//
// It is telling, not keeping account: nothing waits for these messages, no offset depends on them, and while too many are on their way
// further objects are not told of. What a site has done in all is the status processor's to say.
//
// They wake nobody: the reactor of the outbox takes them along when it is awake, which it is for each object's end, and every second.
//
// - Thread: workers push, the reactor of the outbox sends.
public import Reactor
internal import Synchronization

public final class TransferReports: TransferWatcher {
  /// Messages handed over and not acknowledged; a fifth of what the outbox holds, which is there for statuses.
  public static let openMax = Outbox.messagesMax / 5
  /// Of a large object, between two messages: the smallest part Backbeat makes.
  static let stepBytes: Int64 = 16 << 20

  let topic: String
  /// Handed over and not sent yet; they count among `openCount`, which bounds them.
  private let waiting = Lock<[[UInt8]]>([])
  private let openCount = Atomic<Int>(0)

  /// - Parameter topic: as named on the broker.
  public init(topic: String) { self.topic = topic }

  /// Messages handed over and not acknowledged.
  var openNow: Int { openCount.load(ordering: .relaxed) }

  /// - Thread: the reactor's.
  /// - Returns: for `Reactor.removeBeforeSleep`; from then on nothing is sent any more.
  public func attach(to outbox: Outbox, on reactor: Reactor) -> HookToken {
    let teller = outbox.addTeller(topic: topic) { [self] in openCount.subtract(1, ordering: .relaxed) }
    return reactor.addBeforeSleep { [self] _ in
      if openNow > 0 { send(to: outbox, teller) }
    }
  }

  private func send(to outbox: Outbox, _ teller: Int) {
    let messages = waiting.withLock { waiting in
      let messages = waiting
      waiting = []
      return messages
    }
    for message in messages { outbox.tell(teller, message) }
  }

  public func begin(_ request: ObjectRequest) -> any TransferProgress {
    ReportedTransfer(site: request.site, version: FailedVersion(request), to: self)
  }

  /// - Returns: false if there is no room; none of them is sent.
  fileprivate func tell(_ messages: [[UInt8]]) -> Bool {
    let open = openCount.add(messages.count, ordering: .relaxed).newValue
    guard open <= Self.openMax else {
      openCount.subtract(messages.count, ordering: .relaxed)
      return false
    }
    waiting.withLock { $0 += messages }
    return true
  }
}

/// - Thread: the worker's that copies it.
private final class ReportedTransfer: TransferProgress {
  private let site: String
  private let version: FailedVersion
  private lazy var messages = ObjectMetricsMessages(site: site, object: version)
  private let reports: TransferReports
  private var total: Int64 = 0
  private var done: Int64 = 0
  /// Of all attempts: an attempt that begins anew is not told of before it has come further.
  private var toldDone: Int64 = 0
  private var isTotalTold = false
  /// There was no room for its beginning: half of an object's figures are worse than none.
  private var isSilent = false

  init(site: String, version: FailedVersion, to reports: TransferReports) {
    self.site = site
    self.version = version
    self.reports = reports
  }

  func opened(bytes: Int64) { (total, done) = (bytes, 0) }

  func moved(bytes: Int) {
    done = min(total, done + Int64(bytes))
    if done - toldDone >= TransferReports.stepBytes { tell() }
  }

  func ended(isCopied: Bool) {
    guard isCopied else { return }
    done = total
    tell()
  }

  private func tell() {
    guard done > toldDone, !isSilent else { return }
    let nowMs = WallClock.nowMs()
    let completed = messages.json(type: "completed", bytes: done - toldDone, timestampMs: nowMs)
    let news = isTotalTold ? [completed] : [messages.json(type: "queued", bytes: total, timestampMs: nowMs), completed]
    if reports.tell(news) { (isTotalTold, toldDone) = (true, done) } else if !isTotalTold { isSilent = true }
  }
}
