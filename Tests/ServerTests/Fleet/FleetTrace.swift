// What the nodes of a fleet did, out of their trace files: every run of every entry, by which process, from when to when;
// and what must hold of it.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport

final class FleetTrace {
  enum Death { case killed, stopped }

  struct Run {
    var life: Int
    var pid: Int32
    var startNs: Int64
    /// nil: never, as far as the process could tell.
    var endNs: Int64?
    var wasAbandoned = false
  }

  private struct Life {
    var node: String
    /// Where each partition was committed to when it was killed, as the broker said a moment later.
    var committed: [Int: Int64] = [:]
    /// That moment: others may have got its partitions before, and have committed.
    var committedNs = Int64.max
    var death: Death?
    var diedNs = Int64.max
    var ends = 0
  }

  /// By version: the number of the entry.
  private(set) var runs: [Int: [Run]] = [:]
  private var keys: [Int: Int] = [:]
  /// One for each process, by its number: in half an hour of tests the kernel gives a pid twice.
  private var lives: [Life] = []
  /// The latest that had it.
  private var lifeByPid: [Int32: Int] = [:]
  private var readUpTo: [String: Int] = [:]
  private(set) var doneCount = 0
  /// Times of ends, by key; for how long nothing of a partition ended.
  private(set) var ends: [(ns: Int64, key: Int)] = []

  func begin(pid: Int32, node: String) {
    lifeByPid[pid] = lives.count
    lives.append(Life(node: node))
  }
  func died(pid: Int32, _ death: Death, at: Instant, committed: [Int: Int64] = [:]) {
    let life = life(of: pid)
    lives[life].committed = committed
    lives[life].committedNs = Instant.nowUncached().ns
    lives[life].death = death
    lives[life].diedNs = at.ns
  }
  func life(of pid: Int32) -> Int {
    guard let life = lifeByPid[pid] else { preconditionFailure("process \(pid) is none of the fleet's") }
    return life
  }
  func ends(pid: Int32) -> Int { lives[life(of: pid)].ends }

  // MARK: Reading

  /// Takes what was appended to a trace since the last call; a line not yet whole waits.
  func read(_ path: String) throws {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return }  // nothing written yet
    defer { close(fd) }
    let from = readUpTo[path, default: 0]
    lseek(fd, off_t(from), SEEK_SET)
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(fd, &block, block.count)
      guard count > 0 else { break }
      bytes += block[..<count]
    }
    guard let last = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return }
    readUpTo[path] = from + last + 1
    for line in bytes[..<last].split(separator: UInt8(ascii: "\n")) { try take(try JSONValue(parsing: Array(line))) }
  }

  private func take(_ line: JSONValue) throws {
    guard let ns = line["ns"]?.int, let pid = line["pid"]?.int.map(Int32.init), let version = Int(line["version"]?.string ?? ""),
      let key = Int((line["key"]?.string ?? "").dropFirst()), let what = line["what"]?.string
    else { throw Errno(EPROTO, "a line of the trace: \(line)") }
    keys[version] = key
    if what == "start" {
      runs[version, default: []].append(Run(life: life(of: pid), pid: pid, startNs: ns))
      return
    }
    guard let index = runs[version]?.lastIndex(where: { $0.life == life(of: pid) && $0.endNs == nil }) else { return }
    runs[version]?[index].endNs = ns
    runs[version]?[index].wasAbandoned = what == "abandoned"
    guard what == "end" else { return }
    if runs[version]?.count(where: { $0.endNs != nil && !$0.wasAbandoned }) == 1 { doneCount += 1 }
    lives[life(of: pid)].ends += 1
    ends.append((ns, key))
  }

  // MARK: What must hold

  /// Entries that no run brought to an end.
  func missing(of count: Int) -> [Int] {
    (0..<count).filter { !(runs[$0] ?? []).contains { $0.endNs != nil && !$0.wasAbandoned } }
  }

  struct Repeats {
    /// By life that was ended by a kill: entries it had begun which others did again.
    var byKill: [Int: Int] = [:]
    /// Of these, those that were committed when it died. There must be none.
    var committed: [Int] = []
    /// Of processes that were stopped with SIGTERM. There must be none.
    var afterStop = 0
    /// Of processes that lived on, or had lost the partition to others before they died. The mock refuses commits from the moment
    /// a group rebalances, a real broker takes them until all have joined; so here, and only here, what finished since the last
    /// commit is done again, sooner or later.
    var byRebalance = 0
  }

  /// Each run but an entry's last was for nothing; whose was it?
  /// - Parameter place: partition and offset of an entry.
  func repeats(_ place: (Int) -> (partition: Int, offset: Int64)) -> Repeats {
    var result = Repeats()
    var starts: [Int: [(ns: Int64, life: Int)]] = [:]
    for (version, list) in runs {
      for run in list { starts[place(version).partition, default: []].append((run.startNs, run.life)) }
    }
    starts = starts.mapValues { $0.sorted { $0.ns < $1.ns } }
    for (version, list) in runs where list.count > 1 {
      let sorted = list.sorted { $0.startNs < $1.startNs }
      for (run, next) in zip(sorted, sorted.dropFirst()) {
        let life = lives[run.life]
        let (partition, offset) = place(version)
        let wasLost = Self.isStarted(starts[partition] ?? [], between: run.startNs, and: life.diedNs, notBy: run.life)
        guard next.startNs > life.diedNs, !wasLost, let death = life.death else {
          result.byRebalance += 1
          continue
        }
        switch death {
        case .stopped: result.afterStop += 1
        case .killed:
          result.byKill[run.life, default: 0] += 1
          if next.startNs > life.committedNs, offset < life.committed[partition] ?? 0 { result.committed.append(version) }
        }
      }
    }
    return result
  }

  /// Whether another life has begun something of a partition meanwhile, and so had it. - Parameter starts: by time.
  private static func isStarted(_ starts: [(ns: Int64, life: Int)], between begin: Int64, and end: Int64, notBy life: Int) -> Bool {
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle].ns <= begin { low = middle + 1 } else { high = middle }
    }
    return starts[low...].prefix { $0.ns < end }.contains { $0.life != life }
  }

  /// Of one life that was ended by a kill, by partition: which entries others did again, and how long before the kill they had ended.
  func account(of life: Int, _ place: (Int) -> (partition: Int, offset: Int64)) -> String {
    let diedNs = lives[life].diedNs
    var repeated: [Int: [(offset: Int64, agoMs: Int64?)]] = [:]
    for (version, list) in runs {
      guard let run = list.first(where: { $0.life == life }), list.contains(where: { $0.startNs > diedNs }) else { continue }
      let (partition, offset) = place(version)
      repeated[partition, default: []].append((offset, run.endNs.map { (diedNs - $0) / 1_000_000 }))
    }
    let lines = repeated.sorted { $0.key < $1.key }.map { partition, entries in
      let offsets = entries.map(\.offset)
      let ended = entries.compactMap(\.agoMs)
      return "partition \(partition): \(offsets.min()!)...\(offsets.max()!), committed \(lives[life].committed[partition] ?? -1), "
        + "\(entries.count) begun, \(ended.count) ended \(ended.min() ?? 0) to \(ended.max() ?? 0) ms before"
    }
    return "\(lives[life].node), killed at \(diedNs): " + lines.joined(separator: "; ")
  }

  /// Order per key: an entry begins for the first time only when all before it have been done, and two of one key never
  /// run at once. - Returns: what is wrong, in words.
  func orderProblems() -> [String] {
    var problems: [String] = []
    for (key, versions) in Dictionary(grouping: runs.keys, by: { keys[$0] ?? -1 }) {
      var doneBefore = Int64.min
      for version in versions.sorted() {
        let list = (runs[version] ?? []).sorted { $0.startNs < $1.startNs }
        guard let first = list.first else { continue }
        if first.startNs < doneBefore { problems.append("k\(key): \(version) began before the one before it was done") }
        let firstDone = list.compactMap { $0.wasAbandoned ? nil : $0.endNs }.min() ?? .max
        doneBefore = max(doneBefore, firstDone)
      }
      let all = versions.flatMap { runs[$0] ?? [] }.sorted { $0.startNs < $1.startNs }
      for (run, next) in zip(all, all.dropFirst()) {
        let over = run.endNs ?? lives[run.life].diedNs
        if next.startNs < over { problems.append("k\(key): two at once, in \(run.pid) and \(next.pid)") }
      }
    }
    return problems
  }

  /// Longest time after `ns` until something of every one of these groups of keys ended. nil: never.
  func recovery(after ns: Int64, groups: Int, of group: (Int) -> Int) -> Int64? {
    var firsts: [Int: Int64] = [:]
    for end in ends where end.ns > ns {
      let index = group(end.key)
      firsts[index] = min(firsts[index] ?? .max, end.ns)
    }
    guard firsts.count == groups else { return nil }
    return (firsts.values.max() ?? ns) - ns
  }
}
