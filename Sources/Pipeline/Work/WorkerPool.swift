// The bounded pool: N threads, each a reactor. T0 hands items over in batches, one for each worker and turn, and gets
// completions back the same way. How many items exist at a time is bounded by the in-flight slots of the locations,
// so both inboxes have room for all of them and a push is never refused. What a worker does next it may find itself (`Standby`).
internal import PipelineCore
public import Reactor

public final class WorkerPool {
  /// In-flight slots of all locations together: `concurrency + waitingMax` each.
  public static let slotsMax = 65_536
  public static let workersMax = 64
  /// Answers to `names` on their way; a further one is lost, and with it a line in a log.
  static let nameAnswersMax = 4_096

  private struct NameAnswer: Sendable {
    let question: UInt64
    let names: [TaskName]
  }

  /// A class: touched for each item and completion, and a struct in an array is checked for other owners each time.
  private final class Member {
    let thread: ReactorThread
    let worker: Worker
    let items: Inbox<WorkItem>
    /// Handed over before the reactor sleeps.
    var outgoing: [WorkItem] = []
    var inFlight = 0

    init(thread: ReactorThread, worker: Worker, items: Inbox<WorkItem>) {
      self.thread = thread
      self.worker = worker
      self.items = items
    }
  }

  private final class Place {
    let receive: (ArraySlice<WorkCompletion>) -> Void
    init(_ receive: @escaping (ArraySlice<WorkCompletion>) -> Void) { self.receive = receive }
  }

  private var members: [Member] = []
  private var places: [Place?] = []
  private let completions = Inbox<WorkCompletion>(countMax: slotsMax)
  private let nameAnswers = Inbox<NameAnswer>(countMax: nameAnswersMax)
  /// Who asked, and how many workers have not answered.
  private var nameQuestions: [UInt64: (open: Int, reply: ([TaskName]) -> Void)] = [:]
  private var nameQuestionCount: UInt64 = 0
  private var hook: HookToken?
  private let plainCalls = PlainCalls()

  /// Starts the threads (`worker-0`, …).
  /// - Thread: T0; the pool belongs to `reactor`. - Blocking: until they run.
  /// - Errors: `Errno` of pthread_create and friends.
  public init(reactor: Reactor, workers: Int, mode: FileOperationsMode = .automatic) throws(Errno) {
    precondition((1...Self.workersMax).contains(workers))
    for index in 0..<workers { members.append(try Self.startMember(index, completions, mode, plainCalls)) }
    // Strong: the pool knows nothing of its reactor, so there is no circle, and objects that are ever referred to weakly are
    // slower to retain for the rest of their lives.
    reactor.attach(completions) { _, batch in self.receive(batch) }
    reactor.attach(nameAnswers) { _, batch in self.receive(batch) }
    hook = reactor.addBeforeSleep { _ in self.flush() }
  }

  private static func startMember(
    _ index: Int, _ completions: Inbox<WorkCompletion>, _ mode: FileOperationsMode, _ plainCalls: PlainCalls
  ) throws(Errno) -> Member {
    let items = Inbox<WorkItem>(countMax: slotsMax)
    let made = Lock<Worker?>(nil)
    let thread = try ReactorThread.start(name: "worker-\(index)") { own in
      let worker = Worker(
        number: UInt8(index), handle: own.handle, completions: completions, mode: mode, plainCalls: plainCalls)
      worker.start(own, items: items)
      made.withLock { $0 = worker }
    }
    guard let worker = made.withLock({ $0 }) else { preconditionFailure("the thread's body has run") }
    return Member(thread: thread, worker: worker, items: items)
  }

  public var workerCount: Int { members.count }
  /// Why workers use ordinary calls on files instead of io_uring; nil while they do not, or have not used any.
  public var plainCallsReason: String? { plainCalls.reason.withLock { $0 } }

  // MARK: Locations

  /// Makes a location known to all workers.
  /// - Parameters:
  ///   - standby: where they find what to do next when they have ended one of its items; nil: they are given each.
  ///   - receive: called on T0 with completions as they come, also those of tickets cancelled since.
  /// - Returns: the index to put into its items.
  func add(
    _ location: WorkerLocation, standby: Standby? = nil, receive: @escaping (ArraySlice<WorkCompletion>) -> Void
  ) -> Int32 {
    let index = places.firstIndex { $0 == nil } ?? places.count
    if index == places.count { places.append(nil) }
    places[index] = Place(receive)
    for member in members { post(member) { $0.setLocation(Int32(index), location, standby) } }
    return Int32(index)
  }

  /// - Precondition: nothing of it is in flight.
  func remove(_ index: Int32) {
    places[Int(index)] = nil
    for member in members { post(member) { $0.setLocation(index, nil, nil) } }
  }

  private func post(_ member: Member, _ action: @escaping @Sendable (isolated Worker) -> Void) {
    let worker = member.worker
    // Refused only by a worker that has ended, which needs to know nothing any more.
    member.thread.handle.post { _ in worker.assumeIsolated(action) }
  }

  // MARK: Items

  /// Gives an item to the worker with the least to do; it leaves at the end of the turn.
  func submit(_ item: WorkItem) {
    var best = 0
    for index in 1..<max(1, members.count) where members[index].inFlight < members[best].inFlight { best = index }
    let member = members[best]
    member.inFlight += 1
    member.outgoing.append(item)
  }

  /// Asks running items to end early; each still answers, with `.abandoned` if it was in time.
  func cancel(location: Int32, tickets: [InFlightTicket]) {
    // What was submitted in this very turn must be there before it is cancelled.
    flush()
    for member in members { post(member) { $0.cancel(location: location, tickets: tickets) } }
  }

  /// Asks the workers what running items are about. `reply` is called on T0 once for each worker that has some of them.
  func names(location: Int32, tickets: [InFlightTicket], _ reply: @escaping ([TaskName]) -> Void) {
    flush()
    nameQuestionCount += 1
    let question = nameQuestionCount
    nameQuestions[question] = (members.count, reply)
    for member in members {
      post(member) { [nameAnswers] worker in
        _ = nameAnswers.push(NameAnswer(question: question, names: worker.names(location: location, tickets: tickets)))
      }
    }
  }

  private func receive(_ answers: [NameAnswer]) {
    for answer in answers {
      guard let question = nameQuestions[answer.question] else { continue }
      nameQuestions[answer.question] = question.open > 1 ? (question.open - 1, question.reply) : nil
      if !answer.names.isEmpty { question.reply(answer.names) }
    }
  }

  private func flush() {
    for member in members where !member.outgoing.isEmpty {
      let isAllTaken = member.items.push(emptying: &member.outgoing)
      precondition(isAllTaken, "more items than in-flight slots")
    }
  }

  private func receive(_ batch: [WorkCompletion]) {
    // In runs of one location and one worker: what is done for a run is not done for each entry.
    var start = 0
    while start < batch.count {
      let first = batch[start]
      var end = start
      // What has begun in the place of another is in flight as that was.
      var freed = 0
      while end < batch.count, batch[end].location == first.location, batch[end].worker == first.worker {
        freed += batch[end].successor == nil ? 1 : 0
        end += 1
      }
      if let place = places[Int(first.location)] {
        members[Int(first.worker)].inFlight -= freed
        place.receive(batch[start..<end])
      }
      start = end
    }
  }

  // MARK: End

  /// Ends the threads. Nothing may be in flight any more, or it is abandoned where it is.
  /// - Blocking: until the file operations under way have ended.
  public func stop() {
    for member in members {
      let worker = member.worker
      let isPosted = member.thread.handle.post { _ in worker.assumeIsolated { $0.close() } }
      if !isPosted { member.thread.handle.stop() }
    }
    for member in members { member.thread.join() }
    members.removeAll()
  }
}
