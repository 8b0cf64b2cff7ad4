// What runs for every entry allocates nothing once warm. True of optimised code, so this judges release builds only
// (`DOWNBEAT_TEST_RELEASE=1 scripts/test`); in a debug build it merely runs.
import PipelineCore
import TestSupport
import Testing

@Suite struct PipelineCoreAllocationTests {
  private static let repeats = 20_000

  @Test func aWarmLedgerAllocatesNothing() throws {
    var ledger = OffsetLedger()
    var offset: Int64 = 0
    var handles: [OffsetLedger.Handle] = []
    handles.reserveCapacity(64)
    func round() {
      for _ in 0..<64 {
        if let handle = ledger.begin(Offset(offset)) { handles.append(handle) }
        offset += 1
      }
      // Every second one first, so that the lowest unfinished one is not always the newest finished.
      for index in stride(from: 1, to: 64, by: 2) { _ = ledger.finish(handles[index]) }
      for index in stride(from: 0, to: 64, by: 2) { _ = ledger.finish(handles[index]) }
      handles.removeAll(keepingCapacity: true)
      _ = ledger.takeCommittable()
    }
    for _ in 0..<10 { round() }
    let count = allocations { for _ in 0..<Self.repeats { round() } }
    #expect(count ?? 0 == 0)
    #expect(ledger.committable == Offset(offset))
  }

  @Test func aWarmSchedulerAndItsSlotsAllocateNothing() {
    let limits = KeyedScheduler.Limits(concurrency: 16, waitingMax: 16)
    var scheduler = KeyedScheduler(limits)
    var table = InFlightTable<UInt64>(countMax: limits.slotMax)
    var running: [InFlightTicket] = []
    running.reserveCapacity(limits.slotMax)
    var key: UInt64 = 0
    var done = 0
    func fill() {
      while scheduler.hasRoom, let ticket = table.insert(key) {
        // Every fourth entry has the key of the one before: it waits behind it.
        if key % 4 != 3 { key &+= 1 }
        let admission = scheduler.enqueue(key: key &* 0x9E37_79B9_7F4A_7C15, slot: ticket.slot)
        key &+= 1
        switch admission {
        case .run: running.append(ticket)
        case .ready, .waiting, .waitingKeyAtCap: break
        default:
          _ = table.remove(ticket)
          return
        }
      }
    }
    func finishOne() {
      guard let ticket = running.popLast() else { return }
      _ = scheduler.end(ticket.slot)
      _ = table.remove(ticket)
      done += 1
      if let next = scheduler.startReady(), let waiting = table.ticket(slot: next) { running.append(waiting) }
    }
    func round() {
      fill()
      for _ in 0..<8 { finishOne() }
    }
    for _ in 0..<100 { round() }
    let count = allocations { for _ in 0..<Self.repeats { round() } }
    #expect(count ?? 0 == 0)
    #expect(done > Self.repeats)
  }

  @Test func readingAnEntryForTheSchedulerOrForRoutingAllocatesNothing() {
    let entry = Array(
      #"""
      {"type":"put","bucket":"photos","key":"2031/cat.png\u000098123456789012999999RG001  ","value":"{\"content-length\":9,\#
      \"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"a\",\"status\":\"PENDING\"}],\"content\":[\"DATA\"],\#
      \"storageClass\":\"a\"}}"}
      """#.utf8)
    let site = Site("a")
    var memory = EntryMemory(site: site)
    var done = 0
    func round() {
      guard case .entry = EntryDecoder.head(entry.span), case .replicate = EntryDecoder.decodeRouting(entry.span, site: site),
        case .replicate = EntryDecoder.decodeRouting(entry.span, &memory)
      else {
        return
      }
      done += 1
    }
    round()
    let count = allocations { for _ in 0..<1_000 { round() } }
    #expect(count ?? 0 == 0)
    #expect(done == 1_001)
  }
}
