// An open-addressing map from a 64-bit hash to a slot number: linear probing, deletion by shifting back, so it never
// fills with tombstones. Allocates once; the caller promises no more than `countMax` keys at a time.
// The hash is mixed again before use: callers may pass weak ones.

struct HashIndex: Sendable {
  private var keys: [UInt64]
  /// -1 where empty.
  private var slots: [Int32]
  private let mask: Int
  private(set) var count = 0

  init(countMax: Int) {
    var capacity = 16
    while capacity < countMax * 2 { capacity *= 2 }
    keys = Array(repeating: 0, count: capacity)
    slots = Array(repeating: -1, count: capacity)
    mask = capacity - 1
  }

  /// The slot stored for the key, -1 if none.
  func find(_ key: UInt64) -> Int32 {
    var index = home(key)
    while slots[index] >= 0 {
      if keys[index] == key { return slots[index] }
      index = (index + 1) & mask
    }
    return -1
  }

  /// Stores or replaces.
  mutating func set(_ key: UInt64, _ slot: Int32) {
    var index = home(key)
    while slots[index] >= 0 {
      if keys[index] == key {
        slots[index] = slot
        return
      }
      index = (index + 1) & mask
    }
    keys[index] = key
    slots[index] = slot
    count += 1
    precondition(count * 2 <= mask + 1, "more keys than promised")
  }

  /// Removes the key if it is there, and moves later members of its probe run back into the hole.
  mutating func remove(_ key: UInt64) {
    var hole = home(key)
    while slots[hole] >= 0, keys[hole] != key { hole = (hole + 1) & mask }
    guard slots[hole] >= 0 else { return }
    count -= 1
    var index = (hole + 1) & mask
    while slots[index] >= 0 {
      let distance = (index &- home(keys[index])) & mask
      if distance >= (index &- hole) & mask {
        keys[hole] = keys[index]
        slots[hole] = slots[index]
        hole = index
      }
      index = (index + 1) & mask
    }
    slots[hole] = -1
  }

  private func home(_ key: UInt64) -> Int {
    let mixed = (key ^ (key >> 32)) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: mixed >> 32) & mask
  }
}
