// Log lines byte for byte, and what happens when nobody reads them.

import CLinux
import Foundation
import Glibc
import Logging
import Reactor
import TestSupport
import Testing

@testable import Server

private func event(_ message: String, level: Logger.Level = .info, fields: Logger.Metadata? = nil) -> LogEvent {
  LogEvent(level: level, message: "\(message)", metadata: fields, source: nil, file: "F", function: "f", line: 1)
}

private func json(_ event: LogEvent, _ fields: Logger.Metadata = [:]) -> String {
  String(decoding: LogLine.json(timeMs: 1_845_783_620_600, label: "downbeat", event: event, fields: fields), as: UTF8.self)
}

@Suite struct LogTests {
  @Test func aJSONLineHasTimeLevelMessageLoggerAndSortedFields() {
    let line = json(
      event("paused", level: .warning),
      [
        "location": "a", "count": .stringConvertible(3), "ok": .stringConvertible(true), "list": ["x", .stringConvertible(1)],
        "level": "mine",
      ])
    #expect(
      line == #"{"time":"2028-06-28T05:40:20.600Z","level":"warn","message":"paused","logger":"downbeat","#
        + #""count":3,"level_":"mine","list":["x",1],"location":"a","ok":true}"# + "\n")
  }

  @Test func anErrorAmongTheFieldsKeepsItsNameUnlessTheEventHasOne() {
    #expect(json(event("m"), ["error": "EIO"]).hasSuffix(#""logger":"downbeat","error":"EIO"}"# + "\n"))
    let own = LogEvent(
      level: .info, message: "m", error: Errno(EIO, "read"), metadata: nil, source: nil, file: "F", function: "f", line: 1)
    let line = json(own, ["error": "mine"])
    #expect(line.contains(#""error":"read"#) && line.hasSuffix(#","error_":"mine"}"# + "\n"), "\(line)")
  }

  @Test func everyLineParsesWhateverIsInIt() throws {
    var random = SeededRandom(seed: testSeed)
    for _ in 0..<2000 {
      let text = String(
        String.UnicodeScalarView((0..<random.below(1500)).compactMap { _ in Unicode.Scalar(UInt32(random.below(0x2FF))) }))
      let bytes = LogLine.json(
        timeMs: 0, label: "l", event: event(text),
        fields: ["key\(text.prefix(9))": .string(text), "nested": ["a": .string(text)]])
      #expect(bytes.count <= LogLine.bytesMax, "seed \(random.seed)")
      #expect(!bytes.dropLast().contains { $0 < 0x20 || $0 == 0x7F }, "seed \(random.seed)")
      #expect(bytes.last == UInt8(ascii: "\n"))
      #expect(throws: Never.self, "seed \(random.seed)") { try JSONSerialization.jsonObject(with: Data(bytes)) }
    }
  }

  @Test func aLineThatIsFullSaysSoOnce() {
    var fields: Logger.Metadata = [:]
    for index in 0..<9 { fields["f\(index)"] = .string(String(repeating: "x", count: 900)) }
    let line = json(event("m"), fields)
    #expect(line.utf8.count <= LogLine.bytesMax)
    #expect(line.hasSuffix(#","truncated":true}"# + "\n"))
    #expect(line.ranges(of: "truncated").count == 1)
  }

  @Test func aHumanLineIsTimeWordsAndFieldsWithoutControlCharacters() {
    let line = LogLine.human(
      timeMs: 1_845_783_620_600, event: event("failed", level: .error),
      fields: ["key": "a\u{1B}[31mb\n", "n": .stringConvertible(2)])
    #expect(String(decoding: line, as: UTF8.self) == "05:40:20 error: failed (key=a\\x1b[31mb\\x0a, n=2)\n")
  }

  @Test func oneThresholdGovernsEveryLoggerAndNothingIsFormattedBelowIt() {
    let threshold = LogThreshold(.info)
    let pipe = Pipe()
    let sink = LogSink(fd: pipe.writer.raw)
    let logger = Logger(label: "a") { LineLogHandler(label: $0, format: .human, sink: sink, threshold: threshold) }
    var own = Logger(label: "b") { LineLogHandler(label: $0, format: .human, sink: sink, threshold: threshold) }
    own.logLevel = .error
    var formatted = 0
    func expensive() -> Logger.Message {
      formatted += 1
      return "x"
    }
    logger.debug(expensive())
    own.warning(expensive())
    #expect(formatted == 0)
    threshold.level = .debug
    logger.debug(expensive())
    own.warning(expensive())
    #expect(formatted == 1)
    #expect(pipe.drain().hasSuffix("debug: x\n"))
  }

  @Test func aReaderThatStoppedReadingCostsLinesNotTime() {
    let pipe = Pipe()
    let sink = LogSink(fd: pipe.writer.raw)
    let logger = Logger(label: "a") { LineLogHandler(label: $0, format: .json, sink: sink, threshold: LogThreshold(.info)) }
    for index in 0..<5000 { logger.info("line", metadata: ["index": .stringConvertible(index)]) }
    let lost = sink.droppedCount
    #expect(lost > 0)
    let kept = pipe.drain().split(separator: "\n").count
    #expect(kept + lost == 5000)
    logger.info("after")
    let lines = pipe.drain().split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.first?.contains("log lines dropped") == true)
    #expect(lines.first?.contains("\"count\":\(lost)") == true)
    #expect(lines.last?.contains("\"after\"") == true)
    #expect(sink.droppedCount == 0)
  }
}

private struct Pipe: ~Copyable {
  let reader: OwnedFD
  let writer: OwnedFD

  init() {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0, "pipe: errno \(errno)")
    reader = OwnedFD(adopting: ends[0])
    writer = OwnedFD(adopting: ends[1])
  }

  /// Everything in the pipe now.
  borrowing func drain() -> String {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    var entry = pollfd(fd: reader.raw, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, 0) == 1 {
      let count = read(reader.raw, &block, block.count)
      if count <= 0 { break }
      bytes += block[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
