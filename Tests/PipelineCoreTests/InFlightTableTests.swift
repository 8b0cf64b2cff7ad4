import PipelineCore
import TestSupport
import Testing

@Test func slotsAreBoundedAndReused() throws {
  var table = InFlightTable<Int>(countMax: 3)
  let tickets = try (0..<3).map { try unwrap(table.insert($0)) }
  #expect(table.isFull)
  expectEqual(table.insert(9), nil)
  expectEqual(table.remove(tickets[1]), 1)
  let again = try unwrap(table.insert(10))
  #expect(again.slot == tickets[1].slot)
  #expect(again != tickets[1])
  #expect(table.count == 3)
}

@Test func aStaleTicketFindsNothing() throws {
  var table = InFlightTable<String>(countMax: 2)
  let first = try unwrap(table.insert("first"))
  expectEqual(table.remove(first), "first")
  expectEqual(table.remove(first), nil)
  let second = try unwrap(table.insert("second"))
  expectEqual(table.remove(first), nil)
  #expect(!table.isCurrent(first))
  #expect(table.isCurrent(second))
  #expect(table[second.slot] == "second")
  expectEqual(table.remove(InFlightTicket(slot: 99, generation: 1)), nil)
}

@Test func everyOccupiedSlotIsVisitedOnce() throws {
  var table = InFlightTable<Int>(countMax: 50)
  var random = SeededRandom(seed: 3)
  var live: [InFlightTicket: Int] = [:]
  for value in 0..<2000 {
    if random.chance(55), let ticket = table.insert(value) {
      live[ticket] = value
    } else if let ticket = live.keys.randomElement(using: &random) {
      expectEqual(table.remove(ticket), live.removeValue(forKey: ticket))
    }
  }
  var seen: [InFlightTicket: Int] = [:]
  table.visitOccupied { seen[$0] = $1 }
  #expect(seen == live)
  #expect(table.count == live.count)
}
