// The command line as an operator meets it: the real binary, its exit code, what it prints.

import CLinux
import Glibc
import TestSupport
import Testing

@testable import Server

/// Runs `downbeat` to its end. Standard output and error come together.
private func downbeat(
  _ arguments: [String], environment: [String: String?] = [:], while serving: () throws -> Void = {}
) throws -> (code: Int32, output: String) {
  let directory = TemporaryDirectory()
  let child = try ChildProcess(
    try downbeatBinary(), arguments, environment: ["DOWNBEAT_URL": nil].merging(environment) { _, new in new },
    outputPath: directory.path + "/out")
  try serving()
  guard case .exited(let code) = child.wait() else { return (-1, child.output) }
  return (code, child.output)
}

/// Runs a control command against prepared answers; gives also the requests it made, first lines only.
private func control(_ arguments: [String], _ replies: [String]) throws -> (code: Int32, output: String, requests: [String]) {
  let server = try CannedServer()
  var requests: [String] = []
  let result = try downbeat(arguments + ["--url", server.url]) {
    for reply in replies { requests.append(String(try server.answer(reply).prefix { $0 != "\r\n" })) }
  }
  return (result.code, result.output, requests)
}

@Suite struct CommandTests {
  @Test func helpAndVersionSucceed() throws {
    #expect(try downbeat(["--version"]).output == "downbeat \(Version.text)\n")
    let help = try downbeat(["--help"])
    #expect(help.code == 0)
    #expect(help.output.contains("pause"))
    let list = try #require(help.output.firstRange(of: "SUBCOMMANDS:\n"))
    let names = help.output[list.upperBound...].split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
      .compactMap { $0.split(separator: " ").first }.filter { $0 != "See" }
    #expect(names.contains("check-config"))
    for command in names {
      let text = try downbeat([String(command), "--help"])
      #expect(text.code == 0)
      #expect(text.output.hasPrefix("OVERVIEW: "), "\(command) has no overview")
    }
  }

  @Test(arguments: [
    (["nonsense"], "Unexpected argument 'nonsense'"), (["pause"], "Missing expected argument '<location>'"),
    (["status", "--nope"], "Unknown option '--nope'"), (["pause", "a/b"], "The value 'a/b' is invalid for '<location>'"),
    (["pause", "a", "--wait", "0"], "--wait must be from 1 to 3600 seconds"),
    (["schedule", "a", "--hours", "3.5"], "The value '3.5' is invalid for '--hours <n>'"),
    (["schedule", "a", "--hours", "87601"], "--hours must be from 1 to 87600"),
    (["status", "--service", "x"], "The value 'x' is invalid for '--service <service>'"),
    (["status", "--url", "https://x"], "the control client speaks plain http only"),
  ]) func wrongUsageExits2AndSaysWhat(arguments: [String], message: String) throws {
    let result = try downbeat(arguments)
    #expect(result.code == 2)
    #expect(result.output.contains(message))
  }

  @Test func nobodyListeningIsSaidWithTheAddressAndWhatToDo() throws {
    let port = try freeLoopbackPort()
    let result = try downbeat(["status"], environment: ["DOWNBEAT_URL": "http://127.0.0.1:\(port)"])
    #expect(result.code == 1)
    #expect(
      result.output
        == "downbeat: http://127.0.0.1:\(port) cannot be reached (Connection refused). Is the daemon running? Start it with "
        + "`downbeat serve` or `downbeat quickstart`, or say where it is with --url or DOWNBEAT_URL.\n")
  }

  @Test func aHostWithoutAddressIsSaid() throws {
    let result = try downbeat(["status", "--url", "http://no-such-host.invalid:1"])
    #expect(result.code == 1)
    #expect(result.output.contains("http://no-such-host.invalid:1 has no address ("))
  }

  @Test func statusIsATableOfStatesAndResumes() throws {
    let result = try control(
      ["status"],
      [
        CannedServer.reply(200, #"{"west":"disabled","east":"enabled"}"#),
        CannedServer.reply(200, #"{"west":"2028-06-28T05:40:20.600Z","east":"none"}"#),
      ])
    #expect(result.requests == ["GET /_/crr/status/all HTTP/1.1", "GET /_/crr/resume/all HTTP/1.1"])
    #expect(
      result.output == """
        LOCATION  STATE     RESUMES
        east      enabled   -
        west      disabled  2028-06-28T05:40:20.600Z

        """)
    #expect(result.code == 0)
  }

  @Test func anAnswerFromBeforeTheStateStoreWasLostIsMarked() throws {
    let fields = ["x-downbeat-stale": "17"]
    let result = try control(
      ["status", "a b"],
      [
        CannedServer.reply(200, #"{"a b":"enabled"}"#, fields: fields),
        CannedServer.reply(200, #"{"a b":"none"}"#, fields: fields),
      ])
    #expect(result.requests.first == "GET /_/crr/status/a%20b HTTP/1.1")
    #expect(result.output.contains("what it knew 17 s ago"))
  }

  @Test func jsonIsTheAnswerAsItCame() throws {
    let body = #"{ "east" : "enabled" }"#
    let result = try control(["status", "east", "--json", "--service", "ingestion"], [CannedServer.reply(200, body)])
    #expect(result.requests == ["GET /_/ingestion/status/east HTTP/1.1"])
    #expect(result.output == body + "\n")
  }

  @Test func anUnknownLocationGivesTheDaemonsWords() throws {
    let body = #"{"code":404,"description":"no location “x”","RouteNotFound":true}"#
    let result = try control(["pause", "x"], [CannedServer.reply(404, body)])
    #expect(result.code == 1)
    #expect(result.output.contains(" answered 404 RouteNotFound: no location “x” (/_/crr/pause/x;"))
  }

  @Test func pauseResumeScheduleAndUnscheduleCallTheirRoutes() throws {
    let ok = CannedServer.reply(200, "{}")
    let dates = CannedServer.reply(200, #"{"a":"2028-06-28T05:40:20.600Z"}"#)
    let table: [([String], [String], [String])] = [
      (["pause", "a"], [ok], ["POST /_/crr/pause/a HTTP/1.1"]), (["resume"], [ok], ["POST /_/crr/resume/all HTTP/1.1"]),
      (
        ["schedule", "a", "--hours", "3"], [ok, dates],
        ["POST /_/crr/resume/a/schedule HTTP/1.1", "GET /_/crr/resume/a HTTP/1.1"]
      ),
      (["unschedule", "a"], [ok], ["DELETE /_/crr/resume/a/schedule HTTP/1.1"]),
    ]
    for (arguments, replies, requests) in table {
      let result = try control(arguments, replies)
      #expect(result.requests == requests)
      #expect(result.code == 0, "\(arguments): \(result.output)")
    }
  }

  @Test func scheduleSendsTheHours() throws {
    let server = try CannedServer()
    var request = ""
    let result = try downbeat(["schedule", "a", "--hours", "12", "--url", server.url]) {
      request = try server.answer(CannedServer.reply(200, "{}"))
      _ = try server.answer(CannedServer.reply(200, #"{"a":"2028-06-28T05:40:20.600Z"}"#))
    }
    #expect(request.hasSuffix("\r\n\r\n{\"hours\":12}"))
    #expect(result.output == "a: resumes 2028-06-28T05:40:20.600Z\n")
  }

  @Test func aPauseThatDrainedInTimeExits0AndOneThatDidNotExits1() throws {
    let drained = try control(
      ["pause", "a", "--wait", "5"], [CannedServer.reply(200, #"{"a":{"state":"disabled","inFlight":0}}"#)])
    #expect(drained.requests == ["POST /_/crr/pause/a?wait=5 HTTP/1.1"])
    #expect(drained.code == 0)
    #expect(drained.output == "a: paused, nothing running\n")
    let body =
      #"{"a":{"state":"pausing","inFlight":7,"nodes":[{"id":"n1","state":"pausing","inFlight":7,"lastSeen":"T"},{"id":"n2","state":"disabled","inFlight":0,"lastSeen":"T"}]}}"#
    let late = try control(["pause", "a", "--wait", "5"], [CannedServer.reply(202, body)])
    #expect(late.code == 1)
    #expect(late.output.contains("a: pausing, 7 running\n  node n1: pausing, 7 running, last seen T\n"))
    #expect(late.output.contains("downbeat: paused, but not finished within 5 s\n"))
  }

  @Test func topPrintsOnceOffATerminal() throws {
    let body =
      #"{"locations":[{"location":"b","state":"pausing","since":"T","inFlight":3,"queued":2,"lag":10,"scheduledResume":"none","gaps":[{"topic":"t","partition":2,"from":5,"to":9}],"notes":["the ring is refused here"],"nodes":[{"id":"n","state":"pausing","inFlight":3,"lastSeen":"T"}],"partitions":[]},{"location":"a","state":"enabled","inFlight":0,"lag":null}]}"#
    let result = try control(["top"], [CannedServer.reply(200, body)])
    #expect(result.code == 0)
    #expect(
      result.output == """
        LOCATION  STATE    SINCE  RUNNING  WAITING  BEHIND  NODES  RESUMES
        a         enabled  -            0        -       -      0  -
        b         pausing  T            3        2      10      1  -

        b: entries 5 to 8 of t/2 were dropped by the broker unread
        the ring is refused here

        """)
  }

  @Test func healthFollowsReadiness() throws {
    #expect(try control(["health"], [CannedServer.reply(200, "OK")]).code == 0)
    #expect(try control(["health", "--service", "crr"], [CannedServer.reply(200, "OK")]).code == 0)
    let sick = try control(["health"], [CannedServer.reply(500, #"[{"component":"Consumer","status":"NOT_READY","site":"a"}]"#)])
    #expect(sick.code == 1)
    #expect(sick.output.hasSuffix(" is not ready (500): Consumer of a: NOT_READY\n"))
  }

  @Test func failedListsAPageAndNamesTheNext() throws {
    let body =
      #"{"IsTruncated":true,"Versions":[{"Bucket":"b","Key":"x/ü","StorageClass":"a b","Size":7,"LastModified":"T","Reason":"TargetFull","Attempts":6}],"NextMarker":42}"#
    let result = try control(["failed", "a b", "--marker", "43"], [CannedServer.reply(200, body)])
    #expect(result.requests == ["GET /_/crr/failed?sitename=a%20b&marker=43 HTTP/1.1"])
    #expect(
      result.output == """
        BUCKET  KEY  VERSION  SIZE  LAST MODIFIED  TRIES  REASON
        b       x/ü  -           7  T                  6  TargetFull
        more: downbeat failed a b --marker 42

        """)
    let empty = CannedServer.reply(200, #"{"IsTruncated":false,"Versions":[]}"#)
    let none = try control(["failed", "a"], [empty, CannedServer.reply(200, #"{"a":"enabled"}"#)])
    #expect(none.output == "a: nothing has failed\n")
    #expect(none.requests.last == "GET /_/crr/status/a HTTP/1.1")
    let unknown = CannedServer.reply(404, #"{"code":404,"description":"no location b","RouteNotFound":true}"#)
    let nobodys = try control(["failed", "b"], [empty, unknown])
    #expect(nobodys.code == 1 && nobodys.output.contains("no location b"), "\(nobodys.output)")
    #expect(try downbeat(["failed", "all"]).code == 2)
  }

  @Test func retryAllAsksForEveryPageOnce() throws {
    let one = #"{"Bucket":"b","Key":"k1","VersionId":"v","StorageClass":"a","Size":7,"LastModified":"T"}"#
    let two = #"{"Bucket":"b","Key":"k2","StorageClass":"a","Size":7,"LastModified":"T"}"#
    let server = try CannedServer()
    var last = ""
    let result = try downbeat(["retry", "a", "--all", "--url", server.url]) {
      _ = try server.answer(CannedServer.reply(200, #"{"IsTruncated":true,"Versions":[\#(one)],"NextMarker":42}"#))
      _ = try server.answer(CannedServer.reply(200, #"{"IsTruncated":false,"Versions":[\#(one),\#(two)]}"#))
      last = try server.answer(CannedServer.reply(200, "[\(one),\(two)]"))
    }
    #expect(
      last.hasSuffix(
        #"[{"Bucket":"b","Key":"k1","VersionId":"v","StorageClass":"a"},{"Bucket":"b","Key":"k2","StorageClass":"a"}]"#))
    #expect(result.output == "a: 2 of 2 will be tried again\n")
    #expect(result.code == 0)
  }

  @Test func retryOfAnObjectWithoutAFailureSaysSo() throws {
    let result = try control(["retry", "a", "b", "k"], [CannedServer.reply(200, "[]")])
    #expect(result.requests == ["POST /_/crr/failed HTTP/1.1"])
    #expect(result.code == 1)
    #expect(result.output.hasSuffix("downbeat: no failure of it is recorded; --force tries it all the same, if the source has it\n"))
    #expect(try downbeat(["retry", "a"]).code == 2)
    #expect(try downbeat(["retry", "a", "b"]).code == 2)
    #expect(try downbeat(["retry", "a", "b", "k", "--all"]).code == 2)
    #expect(try downbeat(["retry", "a", "--all", "--version-id", "v"]).code == 2)
    #expect(try downbeat(["retry", "all", "--all"]).code == 2)
    let nothing = CannedServer.reply(200, #"{"IsTruncated":false,"Versions":[]}"#)
    let json = try control(["retry", "a", "--all", "--json"], [nothing, CannedServer.reply(200, #"{"a":"enabled"}"#)])
    #expect(json.output == "[]\n")
  }

  @Test func anAnswerThatIsNoHTTPIsSaid() throws {
    let result = try control(["status"], ["SSH-2.0-OpenSSH\r\n\r\n"])
    #expect(result.code == 1)
    #expect(result.output.contains("gave an answer that cannot be read: this is not HTTP"))
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func theBrokerPrintsItsAddressServesAndEndsOnASignal(signal: Int32) throws {
    let directory = TemporaryDirectory()
    let child = try ChildProcess(
      try downbeatBinary(), ["broker", "--topic", "t", "--partitions", "2"], outputPath: directory.path + "/out")
    #expect(eventually { child.output.hasSuffix("\n") })
    let address = try #require(HostPort(child.output.split(separator: "\n").joined(), defaultPort: 0))
    #expect(address.host == "127.0.0.1")
    let socket = try BlockingSocket(
      host: address.host, port: address.port, connectTimeout: .seconds(5), total: .seconds(10))
    // ApiVersions v0, correlation id 7, no client id: any broker answers it.
    try socket.send([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xFF, 0xFF])
    #expect(Array(try socket.receive()[4..<8]) == [0, 0, 0, 7])
    child.signal(signal)
    #expect(child.wait() == .exited(0))
  }

  @Test func checkConfigPrintsRemarksAndExitsByThem() throws {
    let directory = TemporaryDirectory()
    let good = directory.write("good.yaml", "extra: 1\nnode: { id: n }\n")
    let fine = try downbeat(["check-config", "--embedded", good])
    #expect(fine.code == 0)
    let external = try downbeat(["check-config", good])
    #expect(external.code == 2 && external.output.contains("kafka.hosts: is required"), "\(external.output)")
    #expect(fine.output.contains("good.yaml:1:8: note: extra: unknown field, ignored\n"))
    #expect(fine.output.hasSuffix("good.yaml: good. Node n, API on 127.0.0.1:8900, no location to serve.\n"))
    let bad = directory.write("bad.yaml", "server: { port: x }\nlog: { logLevel: y }\n")
    let wrong = try downbeat(["check-config", "--embedded", bad])
    #expect(wrong.code == 2)
    #expect(wrong.output.contains("bad.yaml:1:17: error: server.port: "))
    #expect(wrong.output.hasSuffix("bad.yaml: 2 errors\n"))
    #expect(try downbeat(["check-config", "--embedded", "--roles", "api,nope", good]).code == 2)
    #expect(try downbeat(["check-config", "--embedded", directory.path + "/none.yaml"]).code == 2)
  }
}
