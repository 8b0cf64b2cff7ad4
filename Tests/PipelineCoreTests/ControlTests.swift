// Messages, stored states and times, in Backbeat's own bytes (backbeat-behaviour 2.1 to 2.5; upstream rows 30 to 48, 54).

import PipelineCore
import TestSupport
import Testing

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

// MARK: - Messages

@Test func messagesHaveTheBytesOfBackbeat() {
  let at = ISO8601.ms("2031-02-03T04:05:06.789Z") ?? 0
  #expect(text(ControlMessage(.pause).bytes) == #"{"action":"pauseService"}"#)
  #expect(text(ControlMessage(.resume).bytes) == #"{"action":"resumeService"}"#)
  #expect(text(ControlMessage(.schedule(atMs: at)).bytes) == #"{"action":"resumeService","date":"2031-02-03T04:05:06.789Z"}"#)
  #expect(text(ControlMessage(.unschedule).bytes) == #"{"action":"deleteScheduledResumeService"}"#)
  let ours = ControlMessage(.pause, origin: "node-a", version: 17)
  #expect(text(ours.bytes) == #"{"action":"pauseService","origin":"node-a","version":17}"#)
  #expect(ControlMessage.channel(topic: "backbeat-replication", location: "aws-east") == "backbeat-replication-aws-east")
}

@Test func messagesAreReadBackAndOnlyOursAreWakeUps() throws {
  for action in [ControlMessage.Action.pause, .resume, .schedule(atMs: 1_928_376_450_123), .unschedule] {
    for message in [ControlMessage(action), ControlMessage(action, origin: "n", version: 3)] {
      let read = try ControlMessage(parsing: message.bytes)
      #expect(read == message)
      #expect(read.isWakeUp == (message.origin != nil))
    }
  }
  let loose = try ControlMessage(parsing: Array(#" {"x":[1],"date":null,"action":"resumeService"} "#.utf8))
  #expect(loose.action == .resume)
}

@Test func messagesThatAreNoneSayWhy() {
  let rows = [
    ("", "cut-json"), ("pauseService", "bad-json"), ("[]", "not-an-object"), (#"{"action":"stop"}"#, "unknown-action"),
    (#"{"action":7}"#, "unknown-action"), ("{}", "unknown-action"), (#"{"action":"resumeService","date":"soon"}"#, "bad-date"),
    (#"{"action":"resumeService","date":17}"#, "bad-date"), (#"{"action":"pauseService"}}"#, "bad-json"),
  ]
  for (bytes, code) in rows {
    do throws(JSONValue.Malformed) {
      let message = try ControlMessage(parsing: Array(bytes.utf8))
      Issue.record("\(bytes) was taken as \(message)")
    } catch {
      #expect(error.code == code, "\(bytes)")
    }
  }
}

@Test func announcementsAreReadBackAndNothingElseIs() throws {
  let announcement = PauseAnnouncement(location: "a:\"b", origin: "node-a", after: 17)
  #expect(text(announcement.bytes) == #"{"location":"a:\"b","origin":"node-a","after":17}"#)
  #expect(try PauseAnnouncement(parsing: announcement.bytes) == announcement)
  for bytes in [
    "", "[]", "{}", #"{"location":"a","origin":"n"}"#, #"{"location":1,"origin":"n","after":1}"#, #"{"location":"a","origin":"n","after":1.5}"#,
  ] {
    #expect(throws: JSONValue.Malformed.self) { try PauseAnnouncement(parsing: Array(bytes.utf8)) }
  }
  for cut in announcement.bytes.indices {
    #expect(throws: JSONValue.Malformed.self) { try PauseAnnouncement(parsing: Array(announcement.bytes[..<cut])) }
  }
}

// MARK: - Stored states

private let nowMs: Int64 = 1_900_000_000_000
private let laterText = ISO8601.string(ms: nowMs + 3_600_000)

private func stored(_ text: String) throws -> StoredState { try StoredState(parsing: Array(text.utf8)) }

@Test func ordersLeaveTheStateAsBackbeatWould() throws {
  let rows: [(String, ControlMessage.Action, String)] = [
    (#"{"paused":false}"#, .pause, #"{"paused":true,"scheduledResume":null}"#),
    (#"{"paused":true}"#, .resume, #"{"paused":false,"scheduledResume":null}"#),
    (#"{"paused":true,"scheduledResume":"\#(laterText)"}"#, .resume, #"{"paused":false,"scheduledResume":null}"#),
    // A pause cancels the schedule, also of a location already paused.
    (#"{"paused":true,"scheduledResume":"\#(laterText)"}"#, .pause, #"{"paused":true,"scheduledResume":null}"#),
    (#"{"paused":true}"#, .schedule(atMs: nowMs + 3_600_000), #"{"paused":true,"scheduledResume":"\#(laterText)"}"#),
    (
      #"{"paused":true,"scheduledResume":"2050-01-01T00:00:00.000Z"}"#, .schedule(atMs: nowMs + 3_600_000),
      #"{"paused":true,"scheduledResume":"\#(laterText)"}"#
    ),
    (#"{"paused":true}"#, .schedule(atMs: nowMs - 1), #"{"paused":false,"scheduledResume":null}"#),
    (#"{"paused":false}"#, .schedule(atMs: nowMs + 3_600_000), #"{"paused":false}"#),
    (#"{"paused":true,"scheduledResume":"\#(laterText)"}"#, .unschedule, #"{"paused":true,"scheduledResume":null}"#),
    (#"{"paused":false,"scheduledResume":"\#(laterText)"}"#, .unschedule, #"{"paused":true,"scheduledResume":null}"#),
    (#"{"a":1,"paused":false,"b":{"c":[1.50]}}"#, .pause, #"{"a":1,"paused":true,"b":{"c":[1.50]},"scheduledResume":null}"#),
  ]
  for (before, action, after) in rows {
    var state = try stored(before)
    expectEqual(state.apply(action, nowMs: nowMs), before != after, "\(before) \(action)")
    #expect(text(state.bytes) == after, "\(before) \(action)")
  }
}

@Test func repeatingAnOrderChangesNothing() throws {
  for action in [ControlMessage.Action.pause, .resume, .schedule(atMs: nowMs + 1), .unschedule] {
    var state = StoredState(paused: true)
    _ = state.apply(action, nowMs: nowMs)
    let once = state
    expectEqual(state.apply(action, nowMs: nowMs), false, "\(action)")
    #expect(state == once)
  }
}

@Test func aScheduleFiresOnceAndOnlyWhenDue() throws {
  var state = try stored(#"{"paused":true,"scheduledResume":"\#(laterText)"}"#)
  #expect(state.isPaused)
  expectEqual(state.fireIfDue(nowMs: nowMs), false)
  expectEqual(state.fireIfDue(nowMs: nowMs + 3_600_000), true)
  #expect(text(state.bytes) == #"{"paused":false,"scheduledResume":null}"#)
  expectEqual(state.fireIfDue(nowMs: nowMs + 3_600_000), false)
}

@Test func pausedIsReadAsJavaScriptDoes() throws {
  let rows = [
    ("{}", false), (#"{"paused":null}"#, false), (#"{"paused":0}"#, false), (#"{"paused":0.0}"#, false),
    (#"{"paused":""}"#, false),
    (#"{"paused":1}"#, true), (#"{"paused":"no"}"#, true), (#"{"paused":{}}"#, true), (#"{"paused":[]}"#, true),
    (#"{"paused":false,"scheduledResume":"\#(laterText)"}"#, true), (#"{"paused":false,"scheduledResume":"rubbish"}"#, false),
  ]
  for (json, paused) in rows { #expect(try stored(json).isPaused == paused, "\(json)") }
  #expect(text(StoredState(paused: false).bytes) == #"{"paused":false}"#)
  #expect(throws: JSONValue.Malformed.self) { try stored("[]") }
  #expect(throws: JSONValue.Malformed.self) { try stored("") }
}

// MARK: - Times

@Test func timesAreSpelledAsJavaScriptDoes() {
  let rows: [(Int64, String)] = [
    (0, "1970-01-01T00:00:00.000Z"), (1_530_164_420_600, "2018-06-28T05:40:20.600Z"), (-1, "1969-12-31T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
    (-62_198_755_200_000, "-000001-01-01T00:00:00.000Z"), (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
  ]
  for (ms, spelled) in rows { #expect(ISO8601.string(ms: ms) == spelled) }
  var random = SeededRandom(seed: 8)
  for _ in 0..<3000 {
    let ms = Int64(random.below(Int(Int32.max))) * 117_000 + Int64(random.below(1000)) - 60_000_000_000_000
    #expect(ISO8601.ms(ISO8601.string(ms: ms)) == ms)
  }
}

@Test func onlyTimesThatExistAreRead() {
  let good: [(String, Int64)] = [
    ("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:00.5Z", 500), ("1970-01-01T00:00:00.123456789Z", 123),
    ("1970-01-01T02:00:00+02:00", 0), ("1969-12-31T18:30:00.000-05:30", 0), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
  ]
  for (text, ms) in good { #expect(ISO8601.ms(text) == ms, "\(text)") }
  for text in [
    "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
    "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-01-32T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:60Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.1234567890Z", "1970-01-01T00:00:00ZZ",
    "1970-01-01T00:00:00+2:00", "1970-01-01T00:00:00+25:00", "+970-01-01T00:00:00Z", "１970-01-01T00:00:00Z",
  ] { #expect(ISO8601.ms(text) == nil, "\(text)") }
}

// MARK: - JSON

@Test func jsonKeepsItsOrderAndItsSpelling() throws {
  let same = #"{"b":1.50,"a":[true,false,null,-0,1e-9],"é":"\u0001\n\"\\/","":{}}"#
  #expect(try JSONValue(parsing: same).description == same)
  #expect(try JSONValue(parsing: " [ 1 , \"\\u00e9\\ud834\\udd1e\" ] ").description == "[1,\"é𝄞\"]")
  let repeated = try JSONValue(parsing: #"{"a":1,"a":2}"#)
  #expect(repeated["a"]?.int == 2)
}

@Test func wholeNumbersAreWhole() throws {
  let rows: [(String, Int64?)] = [
    ("3", 3), ("3.0", 3), ("3.50", nil), ("0", 0), ("-0.0", 0), ("1e3", 1000), ("1.5e1", 15), ("1.25e1", nil), ("100e-2", 1),
    ("10e-2", nil), ("9223372036854775807", .max), ("9223372036854775808", nil), ("1e400", nil),
    ("1e18", 1_000_000_000_000_000_000), ("1e19", nil), ("-7E+0", -7), ("\"3\"", nil), ("null", nil), ("0e5", 0), ("1e-400", nil),
  ]
  for (text, value) in rows { #expect(try JSONValue(parsing: text).int == value, "\(text)") }
}

@Test func bodiesAreBoundedAndStrict() {
  func code(_ text: String) -> String? {
    do throws(JSONValue.Malformed) {
      _ = try JSONValue(parsing: Array(text.utf8), bytesMax: 100, depthMax: 3)
      return nil
    } catch {
      return error.code
    }
  }
  #expect(code("[[[]]]") == nil)
  #expect(code("[[[[]]]]") == "nesting-too-deep")
  #expect(code("\"" + String(repeating: "x", count: 99) + "\"") == "too-large")
  for text in ["", " ", "[1", "{\"a\":", "\"a"] { #expect(code(text) == "cut-json", "\(text)") }
  for text in ["1 2", "nul", "01", "[1,]", "{\"a\"}", "'a'", "NaN", "[1]]", "\u{feff}1"] {
    #expect(code(text) == "bad-json", "\(text)")
  }
}
