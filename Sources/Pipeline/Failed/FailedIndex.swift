// Where each failed record is in the file, in the order of failing: 48 bytes a record instead of the record. Pure.
//
// Times never go back (a clock set back is ignored), so that a page is a run of the index and its marker a time.

internal import DequeModule

struct FailedIndex {
  struct Place: Hashable {
    var hash: UInt64
    var atMs: Int64
    var offset: Int
    var length: Int32
    var isListing: Bool
  }

  private var places: Deque<Place?> = []
  /// Sequence number of `places[0]`.
  private var base = 0
  private var sequence: [UInt64: Int] = [:]

  var count: Int { sequence.count }
  /// Index entries that stand for nothing any more.
  var holes: Int { places.count - sequence.count }
  var latestMs: Int64 { lastPlace?.atMs ?? 0 }

  private var lastPlace: Place? {
    // Holes at the end are removed as they arise.
    places.last ?? nil
  }

  func place(of hash: UInt64) -> Place? { sequence[hash].flatMap { places[$0 - base] } }

  /// The newest record of an object replaces an older one.
  mutating func insert(_ place: Place) {
    remove(place.hash)
    var place = place
    place.atMs = max(place.atMs, latestMs)
    sequence[place.hash] = base + places.count
    places.append(place)
  }

  @discardableResult
  mutating func remove(_ hash: UInt64) -> Bool {
    guard let number = sequence.removeValue(forKey: hash) else { return false }
    places[number - base] = nil
    while let last = places.last, last == nil { places.removeLast() }
    while let first = places.first, first == nil {
      places.removeFirst()
      base += 1
    }
    return true
  }

  /// The oldest record; for bounds and expiry.
  var oldest: Place? { places.first ?? nil }

  /// Newest first, from the newest not after `atMs`, as long as `take` wants more.
  func newestFirst(notAfter atMs: Int64, _ take: (Place) -> Bool) {
    // Holes have no time: the search is over positions, and steps over them.
    var low = 0
    var high = places.count
    while low < high {
      var middle = (low + high) / 2
      let probe = middle
      while middle < high, places[middle] == nil { middle += 1 }
      if middle == high || places[middle]!.atMs > atMs { high = probe } else { low = middle + 1 }
    }
    for index in stride(from: low - 1, through: 0, by: -1) {
      if let place = places[index], !take(place) { return }
    }
  }

  /// Oldest first.
  var all: some Sequence<Place> { places.lazy.compactMap { $0 } }
}
