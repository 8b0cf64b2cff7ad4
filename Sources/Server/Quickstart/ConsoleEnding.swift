// The end of a quickstart on the console's thread: summary, verification in steps with its progress, verdict.

internal import Pipeline
internal import Reactor

final class ConsoleEnding: EventSource {
  /// Between two redraws of the verification's progress.
  static let frameInterval: Duration = .milliseconds(100)

  private let screen: ConsoleScreen
  private let cancellation: QuickstartConsole.Cancellation
  private var verifier: TreeVerifier?
  private var names: [String] = []
  private var filesExpected: Int64 = 0
  private var drawnAt: Instant?
  private var done: (@Sendable (QuickstartConsole.Verdict) -> Void)?
  private var token: SourceToken?

  init(screen: ConsoleScreen, cancellation: QuickstartConsole.Cancellation) {
    self.screen = screen
    self.cancellation = cancellation
  }

  func begin(
    _ ending: QuickstartConsole.Ending, _ reactor: Reactor, _ done: @escaping @Sendable (QuickstartConsole.Verdict) -> Void
  ) {
    screen.finish(reactor)
    screen.print(ending.summary.lines)
    guard let verify = ending.verify else { return done(.notAsked) }
    names = ending.summary.locations.map(\.name)
    filesExpected = ending.filesExpected
    self.done = done
    do {
      verifier = try verify()
    } catch {
      return end(.unfinished("\(error)"), reactor)
    }
    let token = reactor.register(source: self)
    self.token = token
    reactor.markReady(token)
  }

  func runTurn(_ reactor: Reactor) -> Turn {
    guard let verifier else { return .idle }
    if cancellation.isSet {
      end(.unfinished("interrupted"), reactor)
      return .idle
    }
    guard verifier.step() else {
      screen.show(nil)
      for (name, result) in zip(names, verifier.results) { screen.print(VerificationLines.result(name, result)) }
      end(verifier.results.allSatisfy(\.isIdentical) ? .identical : .different(verifier.results), reactor)
      return .idle
    }
    if drawnAt.map({ reactor.now - $0 >= Self.frameInterval }) ?? true {
      drawnAt = reactor.now
      screen.show(VerificationLines.progress(files: verifier.filesDone, bytes: verifier.bytesDone, of: filesExpected))
    }
    return .again
  }

  private func end(_ verdict: QuickstartConsole.Verdict, _ reactor: Reactor) {
    if case .unfinished(let why) = verdict {
      screen.show(nil)
      screen.print(["verification not finished: \(why)"])
    }
    if let token { reactor.scheduleClose(token) }
    token = nil
    verifier = nil
    let done = done
    self.done = nil
    done?(verdict)
  }
}
