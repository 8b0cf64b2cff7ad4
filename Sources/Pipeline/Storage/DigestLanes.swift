// MD5 of several objects side by side: one object's digest cannot be made faster, but eight at a time cost little more than one
// (CDigest). Blocks that are to be digested wait here, for a moment, until there are some of several objects.
//
// Invariant: a digest takes its blocks in the order given, one at a time; whoever gives the next waits for the one before. A block
// is held until it was digested, which needs no other block, so nobody can wait for ever.
// Where the processor cannot do it, or there is no company, a block is digested as ever.
internal import CDigest
internal import CLinux
internal import Glibc
internal import Reactor

/// - Thread: one worker's.
final class DigestLanes {
  /// Fewer than this are faster one after the other.
  static let togetherMin = 3
  /// What a block waits for company at the most. Meanwhile it is sent already, and the next ones come in.
  static let restMax: Duration = .milliseconds(5)
  /// Blocks that do not wait after one has waited in vain: the other objects stand still.
  static let hurriedBlocks = 16

  private struct Job {
    let digest: LaneDigest
    let block: Block
    var bytes: UnsafeRawBufferPointer
  }

  private let reactor: Reactor
  private let lanes: Int
  private var token: SourceToken!
  private var jobs: [Job] = []
  /// Runs while blocks wait for company.
  private var timer: TimerToken?
  /// Blocks that still do not wait.
  private var hurried = 0
  /// Digests begun and not finished.
  private var active = 0

  /// - Parameter lanes: 0: one after the other.
  init(_ reactor: Reactor, lanes: Int = Int(db_md5_lanes())) {
    self.reactor = reactor
    self.lanes = lanes
    token = reactor.register(source: LanesTurn(self))
  }

  deinit { Reactor.current?.scheduleClose(token) }

  func begin() -> LaneDigest { LaneDigest(self) }

  fileprivate func add(_ digest: LaneDigest, _ block: Block, _ range: Range<Int>) {
    jobs.append(Job(digest: digest, block: block, bytes: UnsafeRawBufferPointer(rebasing: block.filled[range])))
    look()
  }

  fileprivate func began() { active += 1 }

  fileprivate func ended() {
    active -= 1
    look()
  }

  /// Whether there is any use in waiting for more.
  private func look() {
    guard !jobs.isEmpty else { return }
    // Not the last ones: one that is late would let all others wait.
    let hopedFor = min(lanes, active) * 3 / 4
    if min(lanes, active) < Self.togetherMin || jobs.count >= max(hopedFor, Self.togetherMin) || hurried > 0 {
      reactor.markReady(token)
    } else if timer == nil {
      timer = reactor.schedule(after: Self.restMax) { [weak self] _ in self?.restIsOver() }
    }
  }

  private func restIsOver() {
    timer = nil
    if jobs.count < Self.togetherMin { hurried = Self.hurriedBlocks }
    digestAll()
  }

  fileprivate func digestAll() {
    hurried = max(0, hurried - jobs.count)
    if let timer { reactor.cancel(timer) }
    timer = nil
    var rest = jobs[...]
    jobs.removeAll()
    while lanes > 0, rest.count >= Self.togetherMin {
      together(rest.prefix(lanes))
      rest = rest.dropFirst(lanes)
    }
    for job in rest { end(job) }
  }

  /// Digests what all of them have, then what is left of the longer ones together, until too few are left.
  private func together(_ some: ArraySlice<Job>) {
    var some = Array(some)
    for lane in some.indices {
      let head = min(some[lane].digest.md5.bytesToBlock, some[lane].bytes.count)
      guard head > 0 else { continue }
      some[lane].digest.md5.add(UnsafeRawBufferPointer(rebasing: some[lane].bytes[..<head]))
      some[lane].bytes = UnsafeRawBufferPointer(rebasing: some[lane].bytes[head...])
    }
    while true {
      for job in some where job.bytes.count < MD5.blockBytes { end(job) }
      some.removeAll { $0.bytes.count < MD5.blockBytes }
      guard some.count >= Self.togetherMin, let least = some.map(\.bytes.count).min() else { break }
      digest(blocks: least / MD5.blockBytes, of: &some)
    }
    for job in some { end(job) }
  }

  /// So many blocks of each, side by side.
  private func digest(blocks: Int, of some: inout [Job]) {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4 * lanes) { words in
      withUnsafeTemporaryAllocation(of: UnsafePointer<UInt8>?.self, capacity: lanes) { pointers in
        for lane in 0..<lanes {
          // A lane without an object does what another does, for nothing.
          let job = some[min(lane, some.count - 1)]
          pointers[lane] = job.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
          for index in 0..<4 { words[index * lanes + lane] = job.digest.md5.words[index] }
        }
        db_md5_blocks(pointers.baseAddress, blocks, words.baseAddress)
        for lane in some.indices {
          let own = SIMD4(words[lane], words[lanes + lane], words[2 * lanes + lane], words[3 * lanes + lane])
          some[lane].digest.md5.advance(to: own, blocks: blocks)
          some[lane].bytes = UnsafeRawBufferPointer(rebasing: some[lane].bytes[(blocks * MD5.blockBytes)...])
        }
      }
    }
  }

  private func end(_ job: Job) {
    if !job.bytes.isEmpty { job.digest.md5.add(job.bytes) }
    job.digest.digested()
  }
}

/// Gives the lanes their turns without keeping them alive.
private final class LanesTurn: EventSource {
  private weak var lanes: DigestLanes?
  init(_ lanes: DigestLanes) { self.lanes = lanes }

  func runTurn(_ reactor: Reactor) -> Turn {
    lanes?.digestAll()
    return .idle
  }
}

/// The MD5 of one object, or of a part.
final class LaneDigest {
  fileprivate let md5 = MD5()
  private let lanes: DigestLanes
  private var isPending = false
  private var isActive = false
  private var waiter: UnsafeContinuation<Void, Never>?

  fileprivate init(_ lanes: DigestLanes) { self.lanes = lanes }

  deinit { if isActive { lanes.ended() } }

  /// Waits until the block before was digested, not for this one. The block must not change until the next call.
  func add(_ block: Block, _ range: Range<Int>) async {
    await settle()
    guard !range.isEmpty else { return }
    if !isActive { lanes.began() }
    isActive = true
    isPending = true
    lanes.add(self, block, range)
  }

  /// The digest of what was added since the start; starts anew.
  func finish() async -> MD5Digest {
    await settle()
    if isActive { lanes.ended() }
    isActive = false
    return md5.finish()
  }

  private func settle() async {
    while isPending {
      // Unsafe in that a lost continuation goes unnoticed; each block that was added is digested and resumes it.
      await withUnsafeContinuation { continuation in
        if isPending { waiter = continuation } else { continuation.resume() }
      }
    }
  }

  fileprivate func digested() {
    isPending = false
    guard let waiter else { return }
    self.waiter = nil
    waiter.resume()
  }
}
