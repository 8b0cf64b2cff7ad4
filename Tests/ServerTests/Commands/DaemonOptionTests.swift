// What the commands that run the daemon make of their arguments.

import ArgumentParser
import CLinux
import Glibc
import Logging
import TestSupport
import Testing

@testable import Server

@Suite struct DaemonOptionTests {
  @Test func quickstartTakesDirectoriesAsTypedAndFourChoices() throws {
    let plain = try Quickstart.parse(["a", "../b/"]).options
    #expect(plain == QuickstartOptions(source: "a", targets: ["../b/"], port: 8900, once: false, force: false, delete: false))
    let all = try Quickstart.parse(["a", "b", "/c", "--once", "--force", "--delete", "--port", "0"]).options
    #expect(all == QuickstartOptions(source: "a", targets: ["b", "/c"], port: 0, once: true, force: true, delete: true))
  }

  @Test(arguments: [["/a"], ["/a", "/b", "--port", "65536"], []])
  func quickstartNeedsASourceATargetAndAPort(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try Quickstart.parse(arguments) }
  }

  @Test func theConfigurationIsTheOneNamedThenTheEnvironmentsThenTheStandardOne() throws {
    let directory = TemporaryDirectory()
    let named = directory.write("named.yaml", "node: { id: named }\nextra: 1\n")
    let other = directory.write("other.yaml", "node: { id: other }\n")
    let both = try Serve.parse(["--embedded", "--config", named]).options(environment: ["BACKBEAT_CONFIG_FILE": other])
    #expect(both.configuration.nodeID == "named")
    #expect(both.notes.map(\.field) == ["extra"])
    #expect(both.stateDirectory == "/var/lib/downbeat")
    #expect(both.purpose.embedded)
    #expect(both.purpose.roles == Capabilities.thisBuild.roles)
    #expect(try Serve.parse(["--embedded"]).options(environment: ["BACKBEAT_CONFIG_FILE": other]).configuration.nodeID == "other")
    let none = try Serve.parse(["--embedded"])
    if access(Serve.standardConfiguration, F_OK) != 0 {
      #expect(throws: CommandFailure.usage("/etc/downbeat/config.yaml: 1 error")) { try none.options(environment: [:]) }
    }
  }

  @Test func aReloadSeesTheFileAsItIsNow() throws {
    let directory = TemporaryDirectory()
    let file = directory.write("config.yaml", "log: { logLevel: info }\n")
    let options = try Serve.parse(["--embedded", "--config", file, "--roles", "api"]).options(environment: [:])
    #expect(options.purpose.roles == [.api])
    directory.write("config.yaml", "log: { logLevel: debug }\n")
    #expect(options.reload().configuration?.logLevel == .debug)
    directory.write("config.yaml", "log: { logLevel: loud }\n")
    #expect(options.reload().configuration == nil)
    #expect(options.reload().diagnostics.count == 1)
  }

  @Test func aRoleThisBuildDoesNotServeIsRefused() throws {
    let mode = try ModeOptions.parse(["--embedded", "--roles", "api, gc"])
    #expect(throws: CommandFailure.usage("--roles: this build does not serve the role “gc”")) {
      try mode.purpose(capabilities: .fileOnly)
    }
    let external = try ModeOptions.parse([])
    #expect(throws: CommandFailure.usage("this build serves embedded mode only: add --embedded")) {
      try external.purpose(capabilities: .fileOnly)
    }
  }

  @Test func theBrokerTakesTopicsAndPartitions() throws {
    let broker = try Broker.parse(["--topic", "a", "b", "--partitions", "3"])
    #expect(broker.topic == ["a", "b"] && broker.partitions == 3)
    #expect(throws: (any Error).self) { try Broker.parse(["--topic", "a/b"]) }
    #expect(throws: (any Error).self) { try Broker.parse(["--partitions", "0"]) }
  }
}
