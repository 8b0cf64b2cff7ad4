// What a quickstart shows: progress while it runs, the summary and the verification at its end. On a thread of its own
// (`console`), because a terminal can stop taking text at any time and a verification reads every file again; neither may
// hold up the reactor.
//
// It asks for numbers when it wants to draw; nobody has to push them. On a terminal it redraws in place, at most ten times
// a second and only when something changed; anywhere else it writes a line per location every few seconds while
// something changes. What nobody reads any more (a closed pipe) is dropped.

internal import CLinux
internal import Glibc
internal import Pipeline
internal import Reactor
internal import Synchronization

final class QuickstartConsole: Sendable {
  /// Texts waiting to be shown.
  static let textsMax = 1_024

  struct Output: Sendable {
    var fd: Int32 = 1
    /// Nil: ask the descriptor.
    var isTerminal: Bool?
    /// Nil: ask the terminal.
    var columns: Int?
    /// Between two redraws on a terminal.
    var frameInterval: Duration = .milliseconds(100)
    /// Between two rounds of lines anywhere else.
    var lineInterval: Duration = .seconds(5)
  }

  /// What the end of a quickstart has to show.
  struct Ending: Sendable {
    var summary: QuickstartSummary
    /// Nil: no verification.
    var verify: (@Sendable () throws -> TreeVerifier)?
    /// Files of the source, for the progress of the verification.
    var filesExpected: Int64 = 0
  }

  /// How the verification ended.
  enum Verdict: Hashable, Sendable {
    case notAsked
    /// Every copy is the same as its source.
    case identical
    case different([VerificationResult])
    /// Cancelled, or it could not run.
    case unfinished(String)
  }

  private enum Order: Sendable {
    case say(String)
    case finish(Ending, @Sendable (Verdict) -> Void)
  }

  private let orders = Inbox<Order>(countMax: QuickstartConsole.textsMax)
  private let isCancelled: Cancellation
  private let thread: ReactorThread

  /// Whether the verification shall end early; shared with the console's thread.
  final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
  }

  /// Starts drawing.
  /// - Parameter snapshot: the numbers as they are now; called on the console's thread, must not block.
  /// - Errors: no thread can be made.
  init(
    hint: ResumeHint, output: Output = Output(), snapshot: @escaping @Sendable () -> [LocationProgress]
  ) throws(Errno) {
    let (orders, cancellation) = (orders, Cancellation())
    isCancelled = cancellation
    thread = try ReactorThread.start(name: "console") { reactor in
      let screen = ConsoleScreen(hint: hint, output: output, snapshot: snapshot)
      let ending = ConsoleEnding(screen: screen, cancellation: cancellation)
      screen.start(on: reactor)
      reactor.attach(orders) { reactor, batch in
        for order in batch {
          switch order {
          case .say(let text): screen.say(text, reactor)
          case .finish(let what, let done): ending.begin(what, reactor, done)
          }
        }
      }
    }
  }

  /// Shows a line that stays.
  /// - Thread: any. - Blocking: never. - Returns: false if too much waits to be shown.
  @discardableResult
  func say(_ text: String) -> Bool { orders.push(.say(text)) }

  /// Draws the last numbers, prints the summary, verifies, prints what that found. Once.
  /// - Parameter done: called on the console's thread when everything is printed.
  func finish(_ ending: Ending, done: @escaping @Sendable (Verdict) -> Void) {
    // The inbox can only be full of texts that are shown in a moment; this one must not be lost.
    if !orders.push(.finish(ending, done)) { done(.unfinished("the console is stuck")) }
  }

  /// Ends a running verification soon (Ctrl-C): its verdict is then `unfinished`.
  /// - Thread: any.
  func cancel() { isCancelled.set() }

  /// Ends the thread; does not wait, because the terminal may not take what is being written.
  func stop() { thread.handle.stop() }

  /// For tests and orderly ends: waits until the thread has ended.
  func join() { thread.join() }
}
