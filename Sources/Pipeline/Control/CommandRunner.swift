// Runs the commands on one location, one after the other in the order given: what `CommandMachine` decides becomes calls of the
// store. One at a time, so that two callers of this node do not spend their time losing races against each other.
//
// Invariant: every command's completion is called exactly once, at the latest when its time is over.
internal import DequeModule
internal import PipelineCore
internal import Reactor

final class CommandRunner {
  /// Commands waiting on one location. Beyond it a command fails at once.
  static let waitingMax = 64
  /// Pause between attempts while the store is connected and still does not do it.
  static let retryDelay = Duration.milliseconds(50)

  typealias Completion = (CommandMachine.Outcome) -> Void

  private struct Job {
    let id: UInt64
    var machine: CommandMachine
    let deadline: TimerToken
    let completion: Completion
  }

  private let reactor: Reactor
  private let store: any StateStore
  private let key: LocationKey
  /// What is known and proven current, to save the first reading.
  private let confirmed: () -> StateReading?
  private var jobs = Deque<Job>()
  private var jobCount: UInt64 = 0
  private var isRunning = false

  init(reactor: Reactor, store: any StateStore, key: LocationKey, confirmed: @escaping () -> StateReading?) {
    self.reactor = reactor
    self.store = store
    self.key = key
    self.confirmed = confirmed
  }

  /// - Parameters:
  ///   - initial: what an absent or unreadable entry counts as.
  ///   - limit: from now, waiting behind other commands included.
  func run(_ command: StateCommand, initial: StoredState, within limit: Duration, _ completion: @escaping Completion) {
    guard jobs.count < Self.waitingMax else {
      reactor.schedule(after: .zero) { _ in completion(.failed("too many commands are waiting", maybe: false)) }
      return
    }
    jobCount += 1
    let id = jobCount
    let deadline = reactor.schedule(after: limit) { [weak self] _ in self?.advance(id, .timeIsOver) }
    let machine = CommandMachine(command, initial: initial)
    jobs.append(Job(id: id, machine: machine, deadline: deadline, completion: completion))
    beginNext()
  }

  func storeBecameConnected() {
    guard isRunning, let first = jobs.first else { return }
    advance(first.id, .retry)
  }

  /// Ends everything that is waiting.
  func stop() {
    while let last = jobs.last { advance(last.id, .timeIsOver) }
  }

  private func beginNext() {
    guard !isRunning, let first = jobs.first else { return }
    isRunning = true
    advance(first.id, .begin(known: confirmed()))
  }

  private func advance(_ id: UInt64, _ event: CommandMachine.Event) {
    guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }  // it has ended
    guard let action = jobs[index].machine.handle(event) else { return }
    switch action {
    case .read:
      store.read(key) { [weak self] in self?.advance(id, .readEnded($0.map(StateReading.init))) }
    case .create(let json):
      store.create(key, json: json) { [weak self] in self?.advance(id, .writeEnded($0)) }
    case .replace(let json, let expected):
      store.replace(key, json: json, expecting: expected) { [weak self] in self?.advance(id, .writeEnded($0)) }
    case .awaitRetry:
      guard store.connection.isConnected else { return }  // `storeBecameConnected` will come
      reactor.schedule(after: Self.retryDelay) { [weak self] _ in self?.advance(id, .retry) }
    case .finish(let outcome): finish(index, outcome)
    }
  }

  private func finish(_ index: Int, _ outcome: CommandMachine.Outcome) {
    let job = jobs.remove(at: index)
    reactor.cancel(job.deadline)
    if index == 0 { isRunning = false }
    job.completion(outcome)
    beginNext()
  }
}
