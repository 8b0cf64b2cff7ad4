// What the packages ship must work with this build.

import ArgumentParser
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Server

@Suite struct PackagingTests {
  @Test(arguments: ["config.yaml"])
  func theSampleConfigurationsAreGoodWithoutANote(_ name: String) throws {
    let purpose = try ModeOptions.parse(["--embedded"]).purpose()
    let loaded = ConfigurationLoader.load(path: Repository.root + "/packaging/" + name, purpose: purpose, environment: [:])
    #expect(loaded.diagnostics == [])
    #expect(loaded.configuration != nil)
  }

  @Test func theUnitStartsACommandThatThisBuildServes() throws {
    let unit = try Repository.files(under: ["packaging/downbeat.service"])[0]
    let start = try #require(unit.lines.first { $0.hasPrefix("ExecStart=") })
    let words = start.dropFirst("ExecStart=".count).split(separator: " ").map(String.init)
    #expect(words[0] == "/usr/bin/downbeat")
    #expect(words[1] == "serve")
    let serve = try Serve.parse(Array(words.dropFirst(2)))
    #expect(serve.config == Serve.standardConfiguration)
    #expect(serve.stateDir == Serve.standardStateDirectory)
    #expect(throws: Never.self) { try serve.mode.purpose() }
  }

  @Test func theUnitWaitsLongerForAStopThanTheDaemonDoes() throws {
    let unit = try Repository.files(under: ["packaging/downbeat.service"])[0]
    let line = try #require(unit.lines.first { $0.hasPrefix("TimeoutStopSec=") })
    let seconds = try #require(Int(line.dropFirst("TimeoutStopSec=".count)))
    #expect(seconds > Configuration().shutdownTimeoutS)
  }
}

@Suite struct ServiceManagerTests {
  @Test func aProcessWithoutAManagerTellsNobody() {
    #expect(ServiceManager(environment: [:]) == nil)
    #expect(ServiceManager(environment: ["NOTIFY_SOCKET": "relative"]) == nil)
    #expect(ServiceManager(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)]) == nil)
  }

  @Test(arguments: [false, true])
  func everyMessageIsOneDatagram(isAbstract: Bool) throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/notify"
    let receiver = try NotifyReceiver(isAbstract ? "@" + path : path)
    let manager = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": isAbstract ? "@" + path : path]))
    manager.ready("serving 2 locations")
    #expect(receiver.next() == "READY=1\nSTATUS=serving 2 locations")
    manager.ping()
    #expect(receiver.next() == "WATCHDOG=1")
    manager.stopping(within: .seconds(30))
    #expect(receiver.next() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000")
    manager.reloading()
    #expect(receiver.next()?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true)
    #expect(receiver.next() == nil)
  }

  @Test func aManagerThatIsGoneCostsNothing() throws {
    let manager = try #require(ServiceManager(environment: ["NOTIFY_SOCKET": "/nonexistent/notify"]))
    manager.ready("x")
    manager.ping()
  }

  @Test func theWatchdogIsServedTwiceAPeriodAndOnlyByItsProcess() {
    let base = ["NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000"]
    #expect(ServiceManager(environment: base)?.pingInterval == .seconds(15))
    #expect(ServiceManager(environment: base.merging(["WATCHDOG_PID": "7"]) { $1 }, processID: 7)?.pingInterval == .seconds(15))
    #expect(ServiceManager(environment: base.merging(["WATCHDOG_PID": "8"]) { $1 }, processID: 7)?.pingInterval == nil)
    #expect(ServiceManager(environment: ["NOTIFY_SOCKET": "/x"])?.pingInterval == nil)
  }
}

/// A bound datagram socket.
final class NotifyReceiver {
  private let fd: OwnedFD

  init(_ address: String) throws {
    let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    fd = OwnedFD(adopting: raw)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    var path = Array(address.utf8)
    if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    let code = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) }
    }
    guard code == 0 else { throw Errno.last("bind \(address)") }
  }

  func next() -> String? {
    var block = [UInt8](repeating: 0, count: 4096)
    let count = recv(fd.raw, &block, block.count, 0)
    return count < 0 ? nil : String(decoding: block[..<count], as: UTF8.self)
  }
}
