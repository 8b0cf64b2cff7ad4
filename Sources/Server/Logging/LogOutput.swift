// Where log lines go and which are written at all.
//
// `LogThreshold` is one level for the whole process, changed by SIGHUP and seen by every logger at once. `LogSink` writes
// whole lines and never waits: a reader of standard error that has stopped reading costs lines, which are counted and
// reported once it reads again, not the daemon's pace. Neither rotates, compresses or keeps anything.

internal import CLinux
internal import Glibc
internal import Logging
internal import Reactor
internal import Synchronization

/// The level below which nothing is formatted.
///
/// - Thread: any.
final class LogThreshold: Sendable {
  private let raw: Atomic<Int>

  init(_ level: Logger.Level) { raw = Atomic(Self.rank(level)) }

  var level: Logger.Level {
    get { Logger.Level.allCases[raw.load(ordering: .relaxed)] }
    set { raw.store(Self.rank(newValue), ordering: .relaxed) }
  }

  private static func rank(_ level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
}

/// A file descriptor that takes whole lines.
///
/// - Thread: any; a line of at most PIPE_BUF bytes goes out in one write.
/// - Blocking: not on a pipe or terminal that is full (the line is dropped); on a regular file as the disk does.
final class LogSink: Sendable {
  let fd: Int32
  /// A person is watching: the line of a progress bar is cleared before each log line.
  let isTerminal: Bool
  private let dropped = Atomic<Int>(0)

  init(fd: Int32 = 2) {
    self.fd = fd
    isTerminal = isatty(fd) == 1
  }

  /// Lines that found no room and have not been reported yet.
  var droppedCount: Int { dropped.load(ordering: .relaxed) }

  func write(_ line: [UInt8], dropNotice: (_ count: Int) -> [UInt8]) {
    guard isWritable else {
      dropped.add(1, ordering: .relaxed)
      return
    }
    let missing = dropped.exchange(0, ordering: .relaxed)
    if missing > 0 {
      writeAll(dropNotice(missing))
      // The notice may have taken the last room.
      guard isWritable else {
        dropped.add(1, ordering: .relaxed)
        return
      }
    }
    writeAll(line)
  }

  private var isWritable: Bool {
    var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLOUT) != 0
  }

  private func writeAll(_ line: [UInt8]) {
    var done = 0
    while done < line.count {
      let count = line.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + done, $0.count - done) }
      if count < 0 && errno == EINTR { continue }
      // Full disk, closed terminal: there is nowhere to say so.
      guard count > 0 else { return }
      done += count
    }
  }
}

/// swift-log's back end of every command that runs the daemon.
struct LineLogHandler: LogHandler {
  enum Format: Sendable { case json, human }

  let label: String
  let format: Format
  let sink: LogSink
  let threshold: LogThreshold
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?
  private var ownLevel: Logger.Level?

  init(label: String, format: Format, sink: LogSink, threshold: LogThreshold) {
    self.label = label
    self.format = format
    self.sink = sink
    self.threshold = threshold
  }

  /// The process's level, unless this logger was given its own.
  var logLevel: Logger.Level {
    get { ownLevel ?? threshold.level }
    set { ownLevel = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var fields = metadata
    if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
    if let own = event.metadata { fields.merge(own) { _, new in new } }
    sink.write(line(event, fields)) { count in
      let notice = LogEvent(
        level: .warning, message: "log lines dropped: standard error was not being read", metadata: nil, source: nil,
        file: #fileID, function: #function, line: #line)
      return line(notice, ["count": .stringConvertible(count)])
    }
  }

  private func line(_ event: LogEvent, _ fields: Logger.Metadata) -> [UInt8] {
    switch format {
    case .json: return LogLine.json(timeMs: WallClock.nowMs(), label: label, event: event, fields: fields)
    case .human:
      let text = LogLine.human(timeMs: WallClock.nowMs(), event: event, fields: fields)
      return sink.isTerminal ? Array("\r\u{1B}[K".utf8) + text : text
    }
  }

  /// Makes this the back end of every `Logger` of the process. Once, before the first logger is made.
  ///
  /// - Returns: the process's level, to change it later.
  static func bootstrap(_ format: Format, level: Logger.Level) -> LogThreshold {
    let (sink, threshold) = (LogSink(), LogThreshold(level))
    LoggingSystem.bootstrap { LineLogHandler(label: $0, format: format, sink: sink, threshold: threshold) }
    return threshold
  }
}
