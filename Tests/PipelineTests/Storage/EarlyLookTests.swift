// The look at the target is on its way while the source is opened, and is let go of whatever comes of that.
import Testing

@testable import Pipeline
@testable import Reactor

private final class Steps {
  var list: [String] = []
}

private final class Look: TargetLook {
  private let steps: Steps
  init(_ steps: Steps) { self.steps = steps }
  func cancel() { steps.list.append("let go") }
}

private final class Source: ObjectSource {
  final class Body: ObjectBody {
    let info = ObjectInfo(size: 0)
    var hasBuffer: Bool { true }
    func next() async throws(StoreError) -> Block? { nil }
    func close() {}
  }

  private let steps: Steps
  private let failures: [StoreError]
  private var opened = 0

  /// - Parameter failures: of the first attempts to open it.
  init(_ steps: Steps, failures: [StoreError]) { (self.steps, self.failures) = (steps, failures) }

  func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody {
    steps.list.append("open")
    opened += 1
    if opened <= failures.count { throw failures[opened - 1] }
    return Body()
  }

  func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool { false }
}

private final class Destination: ObjectDestination {
  private let steps: Steps
  private let surprises: Int
  private var look: Look?
  private var puts = 0
  /// - Parameter surprises: puts that find something where nothing was expected.
  init(_ steps: Steps, surprises: Int) { (self.steps, self.surprises) = (steps, surprises) }

  func beginLook(_ request: ObjectRequest) -> (any TargetLook)? {
    steps.list.append("look")
    look = Look(steps)
    return look
  }

  func put(_ request: ObjectRequest, _ body: any ObjectBody, _ look: (any TargetLook)?) async throws(StoreError) -> PutOutcome {
    steps.list.append(look === self.look ? "put" : "put without the look")
    puts += 1
    return puts <= surprises ? .somethingThere : .written(CopyReceipt(bytes: 0, md5: nil))
  }

  func remove(_ request: ObjectRequest) async throws(StoreError) -> RemoveOutcome { .notThere }
}

private func steps(failures: [StoreError] = [], surprises: Int = 0) async throws -> [String] {
  let steps = Steps()
  let replicator = Replicator(source: Source(steps, failures: failures), destination: Destination(steps, surprises: surprises))
  let outcome = await replicator.replicate(ObjectRequest(site: "s", bucket: "b", key: "k"))
  if case .failed(let error) = outcome { steps.list.append("\(error.reason)") }
  return steps.list
}

@Test func theTargetIsAskedBeforeTheSourceIsOpened() async throws {
  #expect(try await steps() == ["look", "open", "put", "let go"])
}

@Test func aSourceThatCannotBeOpenedLetsGoOfTheLook() async throws {
  let gone = StoreError(.sourceUnavailable, isRetryable: true, "gone")
  #expect(try await steps(failures: [gone]) == ["look", "open", "let go", "sourceUnavailable"])
}

@Test func aChangedSourceLooksAgain() async throws {
  #expect(try await steps(failures: [.changed("k")]) == ["look", "open", "let go", "look", "open", "put", "let go"])
}

@Test func whatStandsThereUnexpectedlyIsLookedAtAtOnce() async throws {
  let attempt = ["look", "open", "put", "let go"]
  #expect(try await steps(surprises: 1) == attempt + attempt)
  #expect(try await steps(surprises: .max) == attempt + attempt + attempt + ["busy"])
}
