// What a configuration that was read again changes, and what waits for a restart.
import Pipeline
import Testing

@testable import Server

@Suite struct ReloadTests {
  private func plan(_ text: String, embedded: Bool = true) throws -> NodePlan {
    let loaded = load(text, embedded: embedded)
    return NodePlan(
      configuration: try #require(loaded.configuration, "\(loaded.remarks)"), roles: [.api, .queueProcessor, .populator],
      isEmbedded: embedded, stateDirectory: "/nowhere")
  }

  private func configuration(
    _ sites: [String] = ["east", "west"], queue: String = "{}", more: String = "", external: Bool = false
  ) -> String {
    let servers =
      external ? "kafka: { hosts: \"127.0.0.1:9\" }\nzookeeper: { connectionString: \"127.0.0.1:9\" }\nredis: { host: 127.0.0.1, port: 9 }\n" : ""
    return servers + """
      node: { id: n }
      \(more)
      extensions:
        replication:
          queueProcessor: \(queue)
          destination:
            bootstrapList:
      \(sites.map { "        - { site: \($0), type: noop }" }.joined(separator: "\n"))
      """
  }

  private func reload(_ before: String, _ after: String, embedded: Bool = true) throws -> Reload {
    Reload(of: try plan(before, embedded: embedded), to: try plan(after, embedded: embedded).configuration)
  }

  @Test func theSameChangesNothing() throws {
    let reload = try reload(configuration(), configuration())
    #expect(reload.leaving == [] && reload.joining == [] && reload.needsRestart == [])
    #expect(reload.observedAdded == [] && reload.observedRemoved == [])
  }

  @Test func locationsComeAndGoAloneBesideAnExternalBroker() throws {
    let reload = try reload(
      configuration(external: true), configuration(["east", "north"], external: true), embedded: false)
    #expect(reload.leaving == ["west"])
    #expect(reload.joining.map(\.site) == ["north"])
    #expect(reload.plan.configuration.replication.locations.map(\.site) == ["east", "north"])
  }

  /// There each location's worker derives the status over all sites.
  @Test func inEmbeddedModeTheOthersStartAgain() throws {
    let reload = try reload(configuration(), configuration(["east", "west", "north"]))
    #expect(reload.leaving == ["east", "west"])
    #expect(reload.joining.map(\.site) == ["east", "west", "north"])
  }

  @Test func limitsOfTheQueueChangeForEveryLocation() throws {
    let reload = try reload(
      configuration(external: true), configuration(queue: "{ concurrency: 3 }", external: true), embedded: false)
    #expect(reload.leaving == ["east", "west"] && reload.joining.map(\.site) == ["east", "west"])
    #expect(reload.plan.configuration.replication.queueProcessor.concurrency == 3)
  }

  @Test func aLocationThatIsDisabledIsObservedInstead() throws {
    let off = configuration(external: true).replacing("site: west, type: noop", with: "site: west, type: noop, disabled: true")
    let away = try reload(configuration(external: true), off, embedded: false)
    #expect(away.leaving == ["west"] && away.joining.isEmpty)
    #expect(away.observedAdded == [LocationKey(.crr, "west")])
    let back = try reload(off, configuration(external: true), embedded: false)
    #expect(back.leaving.isEmpty && back.joining.map(\.site) == ["west"])
    #expect(back.observedRemoved == [LocationKey(.crr, "west")])
  }

  @Test(arguments: [
    ("server: { port: 1 }", "server"), ("kafka: { site: r }", "kafka"),
    ("log: { logLevel: debug }", nil), ("server: { healthChecks: { allowFrom: [\"10.0.0.0/8\"] } }", nil),
  ]) func whatNeedsARestartIsNamed(_ more: String, _ name: String?) throws {
    let reload = try reload(configuration(), configuration(more: more))
    #expect(reload.needsRestart == (name.map { [$0] } ?? []))
    #expect(reload.leaving.isEmpty)
    if name != nil { #expect(reload.plan.configuration == (try plan(configuration()).configuration), "not half applied") }
  }

  @Test func threadsAreNamedAndTheRestOfTheQueueIsApplied() throws {
    let reload = try reload(configuration(), configuration(queue: "{ concurrency: 3, workerThreads: 2 }"))
    #expect(reload.needsRestart == ["extensions.replication.queueProcessor.workerThreads"])
    #expect(reload.plan.configuration.replication.queueProcessor.concurrency == 3)
    #expect(reload.plan.configuration.replication.queueProcessor.workerThreads == 1)
  }

  /// Its topic in the embedded broker still holds what was for the former target.
  @Test func anotherTargetOfAnEmbeddedLocationWaits() throws {
    let reload = try reload(
      configuration(), configuration().replacing("site: west, type: noop", with: "site: west, type: noop, taskMs: 5"))
    #expect(reload.needsRestart == ["extensions.replication.destination.bootstrapList (west)"])
    #expect(reload.leaving.isEmpty && reload.joining.isEmpty)
  }
}
