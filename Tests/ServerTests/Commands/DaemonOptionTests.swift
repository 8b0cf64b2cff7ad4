// What the commands that run the daemon make of their arguments.

import ArgumentParser
import Glibc
import Logging
import TestSupport
import Testing

@testable import Server

@Suite struct DaemonOptionTests {
  @Test(arguments: [
    (["/x/b"], ["b"]), (["/x/b", "/y/b", "b"], ["b", "b-2", "b-3"]), (["/x/all", "/x/failed"], ["all-2", "failed-2"]),
    (["/x/b", "/x/b-2", "/y/b"], ["b", "b-2", "b-3"]), (["/x/b/", "/x//c//"], ["b", "c"]), (["/usr/."], ["usr"]),
    (["/usr/lib/.."], ["usr"]),
  ]) func locationsAreNamedAfterTheirDirectories(targets: [String], sites: [String]) throws {
    let options = try Quickstart.parse(["/src/tree"] + targets).options()
    #expect(options.targets.map(\.site) == sites)
  }

  @Test func quickstartPathsBecomeAbsolute() throws {
    let options = try Quickstart.parse(["tree/photos", "copy", "/x/y", "--once", "--force", "--delete", "--port", "0"]).options()
    #expect(options.source.hasPrefix("/") && options.source.hasSuffix("/tree/photos"))
    #expect(options.bucket == "photos")
    #expect(options.targets[0].path.hasPrefix("/") && options.targets[0].path.hasSuffix("/copy"))
    #expect(options.targets[1] == .init(site: "y", path: "/x/y"))
    #expect(options.port == 0 && options.once && options.force && options.delete)
    #expect(try Quickstart.parse(["a", "b"]).options().port == 8900)
  }

  @Test(arguments: [
    (["/", "/x"], "/ has no name of its own to be a bucket: choose a directory below it"),
    (["/a", "/x/b\u{1}"], "the name of /x/b\u{1} must not hold control characters, so it cannot name a location"),
    (["/a", "/"], "the name of / must not be empty, so it cannot name a location"),
  ]) func aDirectoryWhoseNameCannotServeIsRefused(arguments: [String], message: String) throws {
    let command = try Quickstart.parse(arguments)
    #expect(throws: CommandFailure.usage(message)) { try command.options() }
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
