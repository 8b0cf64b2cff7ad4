// Status, pause, resume and schedule over real sockets: bodies, durations, what reaches the control plane and what does not.
import HTTP
import Pipeline
import PipelineCore
import TestSupport
import Testing

@testable import Server

struct ControlRouteTests {
  // MARK: Status

  @Test func statusShowsTheDesiredStateOfEveryLocation() throws {
    let api = try API()
    api.service.states[key("S2")] = DesiredState(isPaused: true, scheduledResumeMs: nil)
    for path in ["/_/crr/status", "/_/crr/status/all", "/_/backbeat/api/crr/status", "/_/crr/status/"] {
      let answer = try api.ask("GET \(path)")
      #expect(answer.status == 200)
      #expect(answer.text == #"{"S1":"enabled","S2":"disabled","a/b":"enabled","é":"enabled"}"#)
      #expect(answer["content-type"] == "application/json")
      #expect(answer["x-scal-request-id"]?.count == 20)
    }
    #expect(try api.ask("GET /_/crr/status/S2").text == #"{"S2":"disabled"}"#)
    #expect(try api.ask("GET /_/crr/status/a%2Fb").text == #"{"a/b":"enabled"}"#)
    #expect(try api.ask("GET /_/ingestion/status").text == #"{"IS1":"enabled","IS2":"enabled"}"#)
  }

  @Test func serviceWithoutLocationsAnswersAnEmptyObject() throws {
    let api = try API()
    api.service.names[.ingestion] = []
    for line in [
      "GET /_/ingestion/status", "POST /_/ingestion/pause", "POST /_/ingestion/pause?wait=5", "GET /_/ingestion/resume", "DELETE /_/ingestion/resume",
    ] {
      #expect(try api.ask(line).isEmptyObject, "\(line)")
    }
    #expect(api.service.asked.isEmpty)
    #expect(try api.ask("GET /_/ingestion/locations").text == #"{"locations":[]}"#)
  }

  @Test func statusIsRenderedOncePerRevision() throws {
    let api = try API()
    for _ in 0..<3 { _ = try api.ask("GET /_/crr/status") }
    #expect(api.service.reads == 4)
    for _ in 0..<3 { _ = try api.ask("GET /_/crr/status/S1") }
    #expect(api.service.reads == 5)
    api.service.states[key("S1")] = DesiredState(isPaused: true, scheduledResumeMs: 1_530_164_420_600)
    #expect(try api.ask("GET /_/crr/status/S1").text == #"{"S1":"disabled"}"#)
    #expect(try api.ask("GET /_/crr/resume/S1").text == #"{"S1":"2018-06-28T05:40:20.600Z"}"#)
    #expect(try api.ask("GET /_/crr/status/S1").text == #"{"S1":"disabled"}"#)
    #expect(api.service.reads == 7)
  }

  @Test func staleStateIsShownAndSaidSo() throws {
    let api = try API()
    api.service.knowledgeByLocation[key("S1")] = .stale(seconds: 3)
    api.service.knowledgeByLocation[key("S2")] = .stale(seconds: 7)
    let answer = try api.ask("GET /_/crr/status")
    #expect(answer.status == 200)
    #expect(answer["x-downbeat-stale"] == "7")
    #expect(try api.ask("GET /_/crr/resume/S1")["x-downbeat-stale"] == "3")
    // Seconds go by without a new revision, so nothing stale is kept.
    let reads = api.service.reads
    _ = try api.ask("GET /_/crr/status")
    #expect(api.service.reads == reads + 4)
    api.service.knowledgeByLocation = [:]
    #expect(try api.ask("GET /_/crr/status")["x-downbeat-stale"] == nil)
  }

  @Test func stateNeverReadIs503() throws {
    let api = try API()
    api.service.knowledgeByLocation[key("S2")] = .unknown
    #expect(try api.ask("GET /_/crr/status").isError(503, "ServiceUnavailable"))
    #expect(try api.ask("GET /_/crr/resume/S2").isError(503, "ServiceUnavailable"))
    #expect(try api.ask("GET /_/crr/status/S1").text == #"{"S1":"enabled"}"#)
  }

  @Test func unconfirmedStateIsReadBeforeItIsShown() throws {
    let api = try API()
    api.service.knowledgeByLocation[key("S1")] = .unconfirmed
    #expect(try api.ask("GET /_/crr/status/S1").text == #"{"S1":"enabled"}"#)
    #expect(api.service.confirming == [key("S1")])
    api.service.knowledgeByLocation[key("S1")] = .unconfirmed
    api.service.knowledgeConfirmed = .stale(seconds: 1)
    #expect(try api.ask("GET /_/crr/status/S1")["x-downbeat-stale"] == "1")
    api.service.knowledgeByLocation[key("S1")] = .unconfirmed
    api.service.knowledgeConfirmed = .unconfirmed
    #expect(try api.ask("GET /_/crr/status/S1").isError(503, "ServiceUnavailable"))
  }

  // MARK: Scheduled resumes

  @Test func scheduledResumesAreISOWithMillisecondsOrNone() throws {
    let api = try API()
    api.service.states[key("S2")] = DesiredState(isPaused: true, scheduledResumeMs: 1_530_164_420_600)
    for path in ["/_/crr/resume", "/_/crr/resume/all", "/_/crr/resume/all/schedule"] {
      #expect(try api.ask("GET \(path)").text == #"{"S1":"none","S2":"2018-06-28T05:40:20.600Z","a/b":"none","é":"none"}"#)
    }
    #expect(try api.ask("GET /_/crr/resume/S2/schedule").text == #"{"S2":"2018-06-28T05:40:20.600Z"}"#)
  }

  // MARK: Commands

  @Test(arguments: [
    ("POST /_/crr/pause", ControlCommand.pause(waitS: nil), ["S1", "S2", "a/b", "é"]),
    ("POST /_/crr/pause/all", .pause(waitS: nil), ["S1", "S2", "a/b", "é"]),
    ("POST /_/crr/pause/S1", .pause(waitS: nil), ["S1"]), ("POST /_/crr/resume", .resume, ["S1", "S2", "a/b", "é"]),
    ("POST /_/crr/resume/S2", .resume, ["S2"]), ("POST /_/crr/resume/S1/schedule", .schedule(hours: 6), ["S1"]),
    ("POST /_/crr/resume/all/schedule", .schedule(hours: 6), ["S1", "S2", "a/b", "é"]),
    ("DELETE /_/crr/resume", .unschedule, ["S1", "S2", "a/b", "é"]),
    ("DELETE /_/crr/resume/S2", .unschedule, ["S2"]), ("DELETE /_/crr/resume/S2/schedule", .unschedule, ["S2"]),
    ("POST /_/backbeat/api/crr/pause/S1", .pause(waitS: nil), ["S1"]),
  ])
  func commandReachesItsLocationsOnce(_ line: String, _ command: ControlCommand, _ locations: [String]) throws {
    let api = try API()
    let answer = try api.ask(line)
    #expect(answer.isEmptyObject)
    #expect(api.service.asked == [MemoryControlService.Asked(command: command, locations: locations.map { key($0) })])
    #expect(api.service.origins[0].requestID == answer["x-scal-request-id"])
    #expect(api.service.origins[0].peer.hasPrefix("127.0.0.1:"))
  }

  @Test(arguments: [ControlledService.ingestion, .lifecycle])
  func otherServicesHaveTheSameRoutes(_ service: ControlledService) throws {
    let api = try API()
    let location = service == .lifecycle ? "C" : "IS1"
    for path in ["pause", "pause/all", "pause/\(location)", "resume", "resume/all", "resume/\(location)", "resume/\(location)/schedule"] {
      #expect(try api.ask("POST /_/\(service.rawValue)/\(path)").isEmptyObject)
    }
    #expect(api.service.asked.allSatisfy { $0.locations.allSatisfy { $0.service == service } })
    #expect(api.service.asked.count == 7)
  }

  @Test(arguments: [
    "POST /_/crr/pause/invalid-site", "POST /_/crr/resume/invalid-site", "POST /_/crr/status", "GET /_/crr/pause", "POST /_/ingestion/pause/S1",
    "POST /_/crr/resume/S1/foo", "DELETE /_/crr/resume/nobody", "POST /_/lifecycle/pause/non-existent",
  ])
  func wrongPathReachesNobody(_ line: String) throws {
    let api = try API()
    let answer = try api.ask(line)
    #expect(answer.isError(404, "RouteNotFound"))
    #expect(answer.reason == "Not Found")
    #expect(api.service.asked.isEmpty)
  }

  @Test(arguments: ["", "garbage", "{\"hours\":3}", "[1,2", "\0\0"])
  func bodyOfPauseAndResumeIsIgnored(_ body: String) throws {
    let api = try API()
    #expect(try api.ask("POST /_/crr/pause/S1", body: body).isEmptyObject)
    #expect(try api.ask("POST /_/crr/resume/S1", body: body).isEmptyObject)
    #expect(try api.ask("DELETE /_/crr/resume/S1", body: body).isEmptyObject)
    #expect(api.service.asked.map(\.command) == [.pause(waitS: nil), .resume, .unschedule])
  }

  static let hours: [(String, Int?)] = [
    ("", 6), ("{}", 6), (#"{"other":1}"#, 6), (#"{"hours":1}"#, 1), (#"{"hours":3}"#, 3), (#"{"hours":3.0}"#, 3), (#"{"hours":3e0}"#, 3),
    (#"{"hours":87600}"#, 87_600), (#" { "hours" : 24 } "#, 24), (#"{"a":{"hours":9},"hours":2}"#, 2), (#"{"hours":0}"#, nil),
    (#"{"hours":-1}"#, nil),
    (#"{"hours":87601}"#, nil), (#"{"hours":1e400}"#, nil), (#"{"hours":99999999999999999999}"#, nil), (#"{"hours":3.5}"#, nil),
    (#"{"hours":0.5}"#, nil),
    (#"{"hours":"3"}"#, nil), (#"{"hours":"abc"}"#, nil), (#"{"hours":""}"#, nil), (#"{"hours":null}"#, nil), (#"{"hours":true}"#, nil),
    (#"{"hours":false}"#, nil),
    (#"{"hours":[]}"#, nil), (#"{"hours":[3]}"#, nil), (#"{"hours":{}}"#, nil), (#"{"hours":01}"#, nil), (#"{"hours":+1}"#, nil),
    (#"{"hours":0x1}"#, nil), ("null", nil),
    ("3", nil), (#""3""#, nil), ("[]", nil), ("true", nil), ("{", nil), (" ", nil), (#"{"hours":3"#, nil), (#"{"hours":3}x"#, nil),
    (#"{hours:3}"#, nil), ("{\"hours\":3,}", nil),
    ("\u{FEFF}{\"hours\":3}", nil),
  ]

  @Test(arguments: hours)
  func hoursMustBeAWholeNumberInRange(_ body: String, _ expected: Int?) throws {
    let api = try API()
    let answer = try api.ask("POST /_/crr/resume/S1/schedule", body: body)
    if let expected {
      #expect(answer.isEmptyObject, "\(answer.text)")
      #expect(api.service.asked.map(\.command) == [.schedule(hours: expected)])
    } else {
      #expect(answer.isError(400, "MalformedPOSTRequest"), "\(answer.text)")
      #expect(api.service.asked.isEmpty)
    }
  }

  @Test func hoursWithoutABodyAtAllAreSix() throws {
    let api = try API()
    #expect(try api.ask("POST /_/crr/resume/S1/schedule", body: nil).isEmptyObject)
    let chunked =
      "POST /_/crr/resume/S1/schedule HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"ho\r\n8\r\nurs\":12}\r\n0\r\n\r\n"
    let client = HTTPTestClient(port: api.listener.address.port)
    client.send(chunked)
    #expect(api.reactor.response(for: client)?.text == "{}")
    #expect(api.service.asked.map(\.command) == [.schedule(hours: 6), .schedule(hours: 12)])
  }

  @Test func unknownLocationIsRefusedBeforeItsBodyIsRead() throws {
    let api = try API()
    #expect(try api.ask("POST /_/crr/resume/nobody/schedule", body: "{").isError(404, "RouteNotFound"))
  }

  @Test(arguments: [
    (
      ControlOutcome.unavailable(reason: "ZooKeeper did not confirm within 2 s.", outcomeUnknown: true), 503, "ServiceUnavailable",
      "(outcome unknown)"
    ),
    (.unavailable(reason: "ZooKeeper is away.", outcomeUnknown: false), 503, "ServiceUnavailable", "ZooKeeper is away."),
    (.failed(reason: "The stored state is no JSON."), 500, "InternalError", "no JSON"),
  ])
  func failureIsAnError(_ outcome: ControlOutcome, _ status: Int, _ name: String, _ text: String) throws {
    let api = try API()
    api.service.outcome = outcome
    for line in ["POST /_/crr/pause/S1", "POST /_/crr/resume", "POST /_/crr/resume/S1/schedule", "DELETE /_/crr/resume/S1"] {
      let answer = try api.ask(line)
      #expect(answer.isError(status, name))
      #expect(answer.text.contains(text))
    }
  }

  @Test func answersMayComeLaterAndInAnyOrder() throws {
    let api = try API()
    api.service.outcome = nil
    let clients = (0..<3).map { _ in HTTPTestClient(port: api.listener.address.port) }
    for (index, client) in clients.enumerated() {
      client.send(API.request("POST /_/crr/pause/S1") + API.request("GET /_/crr/status/S1"))
      #expect(api.reactor.runUntil { api.service.pending.count == index + 1 })
    }
    for index in [2, 0, 1] { api.service.pending[index](.done) }
    for client in clients {
      #expect(api.reactor.response(for: client)?.text == "{}")
      #expect(api.reactor.response(for: client)?.text == #"{"S1":"enabled"}"#)
    }
  }

  // MARK: ?wait

  @Test(
    arguments: [
      ("wait=1", 1), ("wait=3600", 3_600), ("wait=007", 7), ("x=y&wait=30", 30), ("w%61it=%35", 5), ("", nil), ("waiting=0", nil),
    ] as [(String, Int?)])
  func waitIsPassedOn(_ query: String, _ seconds: Int?) throws {
    let api = try API()
    #expect(try api.ask("POST /_/crr/pause/S1?\(query)").status == 200)
    #expect(api.service.asked.map(\.command) == [.pause(waitS: seconds)])
  }

  @Test(arguments: [
    "wait", "wait=", "wait=0", "wait=3601", "wait=-1", "wait=+1", "wait=1.0", "wait=1s", "wait=abc", "wait=1&wait=1", "wait=%zz",
    "wait=99999999999999999999",
  ])
  func waitMustBeSecondsInRange(_ query: String) throws {
    let api = try API()
    for path in ["/_/crr/pause", "/_/crr/pause/S1"] {
      #expect(try api.ask("POST \(path)?\(query)").isError(400, "InvalidQueryParameter"))
    }
    #expect(api.service.asked.isEmpty)
    // It is a parameter of pause alone.
    #expect(try api.ask("POST /_/crr/resume/S1?\(query)").isEmptyObject)
  }

  @Test func drainedPauseShowsStateAndNothingInFlight() throws {
    let api = try API()
    api.service.outcome = .drained([DrainReport(location: "S1", isDrained: true, state: .disabled, inFlight: 0, nodes: [])])
    let answer = try api.ask("POST /_/crr/pause/S1?wait=5")
    #expect(answer.status == 200)
    #expect(answer.text == #"{"S1":{"state":"disabled","inFlight":0}}"#)
  }

  @Test func pauseNotDrainedInTimeIs202AndNamesTheNodes() throws {
    let api = try API()
    let nodes = [
      NodeView(id: "node-a", state: .pausing, inFlight: 7, lastSeenMs: 1_530_164_420_600),
      NodeView(id: "node-b", state: .disabled, inFlight: 0, lastSeenMs: 1_530_164_420_601),
    ]
    api.service.outcome = .drained([
      DrainReport(location: "S1", isDrained: false, state: .pausing, inFlight: 7, nodes: nodes),
      DrainReport(location: "S2", isDrained: true, state: .disabled, inFlight: 0, nodes: []),
    ])
    let answer = try api.ask("POST /_/crr/pause?wait=1")
    #expect(answer.status == 202)
    #expect(answer.reason == "Accepted")
    #expect(
      answer.text
        == #"{"S1":{"state":"pausing","inFlight":7,"nodes":[{"id":"node-a","state":"pausing","inFlight":7,"lastSeen":"2018-06-28T05:40:20.600Z"},"#
        + #"{"id":"node-b","state":"disabled","inFlight":0,"lastSeen":"2018-06-28T05:40:20.601Z"}]},"S2":{"state":"disabled","inFlight":0}}"#)
  }

  @Test func pauseWithoutALiveNodeIs202WithNoNodes() throws {
    let api = try API()
    api.service.outcome = .drained([DrainReport(location: "S1", isDrained: false, state: .disabled, inFlight: 0, nodes: [])])
    let answer = try api.ask("POST /_/crr/pause/S1?wait=1")
    #expect(answer.status == 202)
    #expect(answer.text == #"{"S1":{"state":"pausing","inFlight":0,"nodes":[]}}"#)
  }

  // MARK: Details

  @Test(arguments: ["GET /_/crr/locations", "GET /_/crr/locations/S1"]) func locationsSayHowWellTheyAreKnownAsStatusDoes(_ line: String) throws {
    let api = try API()
    api.service.knowledgeByLocation[key("S1")] = .unknown
    #expect(try api.ask(line).isError(503, "ServiceUnavailable"))
    api.service.knowledgeByLocation[key("S1")] = .stale(seconds: 7)
    let stale = try api.ask(line)
    #expect(stale.status == 200 && stale["x-downbeat-stale"] == "7")
    api.service.knowledgeByLocation[key("S1")] = .unconfirmed
    let confirmed = try api.ask(line)
    #expect(confirmed.status == 200 && confirmed["x-downbeat-stale"] == nil)
    #expect(api.service.confirming.contains(key("S1")))
    api.service.knowledgeByLocation[key("S1")] = .unconfirmed
    api.service.knowledgeConfirmed = .unconfirmed
    #expect(try api.ask(line).isError(503, "ServiceUnavailable"))
    // Of one location only its own counts.
    api.service.knowledgeByLocation = [key("S1"): .unknown]
    #expect(try api.ask("GET /_/crr/locations/S2").status == 200)
  }

  @Test func locationsShowEveryMember() throws {
    let api = try API()
    var view = LocationView(location: "S1", state: .pausing)
    #expect(
      try api.ask("GET /_/lifecycle/locations").text
        == #"{"locations":[{"location":"C","state":"enabled","since":null,"inFlight":0,"queued":0,"lag":null,"scheduledResume":"none","gaps":[],"stuck":[],"nodes":[],"partitions":[],"notes":[]}]}"#
    )
    view.sinceMs = 1_530_164_420_600
    view.inFlight = 3
    view.queued = 4
    view.lag = 12
    view.scheduledResumeMs = 1_530_164_420_600
    view.gaps = [GapView(topic: "t", partition: 1, from: 5, to: 9)]
    view.stuck = [
      StuckView(bucket: "b", key: "k", versionId: nil, topic: "t", partition: 1, offset: 7, sinceMs: 1_530_164_420_600)
    ]
    view.nodes = [NodeView(id: "n", state: .pausing, inFlight: 3, lastSeenMs: 0)]
    view.partitions = [
      PartitionView(topic: "t", partition: 0, committed: 5, end: 9, node: "n"),
      PartitionView(topic: "t", partition: 1, committed: nil, end: nil, node: nil),
    ]
    view.notes = ["io_uring is refused here"]
    api.service.details["S1"] = view
    #expect(
      try api.ask("GET /_/crr/locations/S1").text
        == #"{"location":"S1","state":"pausing","since":"2018-06-28T05:40:20.600Z","inFlight":3,"queued":4,"lag":12,"scheduledResume":"2018-06-28T05:40:20.600Z","#
        + #""gaps":[{"topic":"t","partition":1,"from":5,"to":9}],"stuck":[{"bucket":"b","key":"k","versionId":null,"topic":"t","partition":1,"offset":7,"since":"2018-06-28T05:40:20.600Z"}],"nodes":[{"id":"n","state":"pausing","inFlight":3,"lastSeen":"1970-01-01T00:00:00.000Z"}],"#
        + #""partitions":[{"topic":"t","partition":0,"committed":5,"end":9,"node":"n"},{"topic":"t","partition":1,"committed":null,"end":null,"node":null}],"#
        + #""notes":["io_uring is refused here"]}"#)
  }
}
