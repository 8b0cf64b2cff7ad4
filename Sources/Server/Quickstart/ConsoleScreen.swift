// The console's thread: draws the progress at intervals and writes texts above it. Blocks in write(2) if the terminal does.

internal import CLinux
internal import Glibc
internal import Pipeline
internal import Reactor

final class ConsoleScreen: TimerTarget {
  /// Without a change the screen is looked after this much less often.
  static let idleFactor = 10
  static let columnsDefault = 80
  static let rowsDefault = 24

  private let lines: ProgressLines
  private let output: QuickstartConsole.Output
  private let snapshot: @Sendable () -> [LocationProgress]
  private let isTerminal: Bool
  private var meters: [SpeedMeter] = []
  private var block = TerminalBlock()
  private var lastFrame: [String] = []
  private var lastSentences: [LocationProgress] = []
  private var timer: TimerToken?
  private var isReading = true

  init(
    hint: ResumeHint, output: QuickstartConsole.Output, snapshot: @escaping @Sendable () -> [LocationProgress]
  ) {
    lines = ProgressLines(hint: hint)
    self.output = output
    self.snapshot = snapshot
    isTerminal = output.isTerminal ?? (isatty(output.fd) == 1)
  }

  func start(on reactor: Reactor) {
    meters = snapshot().map { _ in SpeedMeter() }
    schedule(reactor, after: output.frameInterval)
  }

  func timerFired(_ reactor: Reactor, payload: UInt64) {
    timer = nil
    let changed = isTerminal ? drawBars(rows(reactor.now)) : writeSentences(rows(reactor.now))
    let interval = isTerminal ? output.frameInterval : output.lineInterval
    schedule(reactor, after: isTerminal && !changed ? interval * Self.idleFactor : interval)
  }

  private func schedule(_ reactor: Reactor, after interval: Duration) {
    if let timer { reactor.cancel(timer) }
    timer = reactor.schedule(at: reactor.now + interval, target: self, payload: 0)
  }

  /// A line that stays.
  func say(_ text: String, _ reactor: Reactor) {
    if isTerminal {
      write(block.frame(lastFrame, columns: columns, above: [text]))
    } else {
      write(text + "\n")
    }
  }

  /// The last numbers, whatever the interval; from now on nothing is drawn by itself.
  func finish(_ reactor: Reactor) {
    if let timer { reactor.cancel(timer) }
    timer = nil
    let rows = rows(reactor.now)
    if isTerminal { _ = drawBars(rows) } else { _ = writeSentences(rows) }
    lastFrame = []
    block = TerminalBlock()
  }

  /// Lines that stay, below everything.
  func print(_ texts: [String]) { write(texts.map { $0 + "\n" }.joined()) }

  /// One line in place of the last one (on a terminal only).
  func show(_ text: String?) {
    guard isTerminal else { return }
    let lines = text.map { [DisplayWidth.fitted($0, columns: columns)] } ?? []
    write(block.frame(lines, columns: columns))
  }

  // MARK: Drawing

  private func rows(_ now: Instant) -> [ProgressLines.Row] {
    snapshot().enumerated().map { index, progress in
      while meters.count <= index { meters.append(SpeedMeter()) }
      meters[index].add(objects: progress.completedObjects, bytes: progress.completedBytes, at: now)
      return ProgressLines.Row(
        progress: progress, objectsPerSecond: meters[index].objectsPerSecond,
        bytesPerSecond: meters[index].bytesPerSecond)
    }
  }

  private func drawBars(_ rows: [ProgressLines.Row]) -> Bool {
    let size = size
    let frame = lines.bars(rows, columns: size.columns - 1, rowsMax: max(1, size.rows - 2))
    guard frame != lastFrame else { return false }
    lastFrame = frame
    write(block.frame(frame, columns: size.columns))
    return true
  }

  private func writeSentences(_ rows: [ProgressLines.Row]) -> Bool {
    let progress = rows.map(\.progress)
    guard progress != lastSentences else { return false }
    lastSentences = progress
    write(lines.sentences(rows).map { $0 + "\n" }.joined())
    return true
  }

  private var columns: Int { size.columns }

  private var size: (columns: Int, rows: Int) {
    var (columns, rows): (UInt16, UInt16) = (0, 0)
    // A terminal that does not know its size says 0.
    guard output.columns == nil, db_terminal_size(output.fd, &columns, &rows) == 0, columns > 0, rows > 0 else {
      return (output.columns ?? Self.columnsDefault, Self.rowsDefault)
    }
    return (Int(columns), Int(rows))
  }

  private func write(_ text: String) {
    guard isReading, !text.isEmpty else { return }
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(output.fd, $0.baseAddress! + done, $0.count - done) }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        // Somebody made the terminal non-blocking: this thread may wait.
        var waiting = pollfd(fd: output.fd, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, -1)
        continue
      }
      guard count > 0 else {
        isReading = false
        return
      }
      done += count
    }
  }
}
