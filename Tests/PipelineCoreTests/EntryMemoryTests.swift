// What was remembered of earlier entries changes nothing of what is read from the next one, whatever that holds.

import PipelineCore
import TestSupport
import Testing

/// Reads a stream of entries with what it remembers, each beside a reading of it alone.
private struct Reader {
  var routing = EntryMemory(site: "aws-east")
  var whole = EntryMemory(site: "aws-east")
  var ofEverybody = EntryMemory(site: nil)

  /// - Returns: nil, or how the two readings differ.
  mutating func difference(_ bytes: [UInt8], isThorough: Bool = true) -> String? {
    let remembered = EntryDecoder.decodeRouting(bytes.span, &routing)
    if remembered != route(bytes) { return "\(remembered) is not \(route(bytes))" }
    guard isThorough else { return nil }
    for (outcome, alone) in [
      (EntryDecoder.decode(bytes.span, &whole), decode(bytes)), (EntryDecoder.decode(bytes.span, &ofEverybody), decode(bytes, site: nil)),
    ] {
      let (one, other) = (String(reflecting: outcome), String(reflecting: alone))
      if one != other { return "\(one) is not \(other)" }
    }
    return nil
  }
}

private func entry(_ metadata: String) -> [UInt8] { Sample.envelope(value: metadata) }

private let backends = #"[{"site":"aws-east","status":"PENDING"}]"#
private let ourInfo = #""replicationInfo":{"status":"PENDING","backends":\#(backends),"content":["DATA"],"storageClass":"aws-east"}"#

/// Of an object that goes to one site, its members in this order.
private func info(_ site: String, list: String? = nil, order: [Int] = [0, 1, 2, 3], versionId: String = "") -> String {
  let members = [
    #""status":"PENDING""#, #""backends":[{"site":"\#(site)","status":"PROCESSING","dataStoreVersionId":"\#(versionId)"}]"#,
    #""content":["DATA"],"role":"arn:aws:iam::1:role/r""#, #""storageClass":"\#(list ?? site)""#,
  ]
  return #""replicationInfo":{\#(order.map { members[$0] }.joined(separator: ","))}"#
}

/// Another site, ours, lists, and names that are ours only at a second look or never.
private let sites = [
  "aws-east", "ring", "a-much-longer-name-than-any-of-the-others", "aws-eas", "aws-east2", #"\u0061ws-east"#, #"aws\-east"#, "été",
  "aws-east,ring", "ring,aws-east:preferred_read", "", #"x\",\"y"#,
]

/// Share no member.
private let halves = [#""replicationInfo":{"storageClass":"aws-east"}"#, #""replicationInfo":{"content":["PUT_TAGGING"],"status":"PENDING"}"#]

private let streams: [(first: String, second: String)] = [
  // A number, a literal that goes on.
  (#"{"a-long-enough-name":12,"content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":123,"content-length":1,\#(ourInfo)}"#),
  (#"{"a-long-enough-name":12,"content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":12e,"content-length":1,\#(ourInfo)}"#),
  (#"{"a-long-enough-name":12,"content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":12"content-length":1,\#(ourInfo)}"#),
  (#"{"a-long-enough-name":true,"content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":truer,"content-length":1,\#(ourInfo)}"#),
  // The run at the beginning, and the same text where a comma is missing.
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{"content-length":1"a-long-enough-name":"x",\#(ourInfo)}"#),
  (#"{"content-length":1,"a-long-enough-name":"x",\#(ourInfo)}"#, #"{,"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#),
  // White space, another order, members between.
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":"x" , "content-length":1,\#(ourInfo)}"#),
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{\#(ourInfo),"a-long-enough-name":"x","content-length":1}"#),
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":"x","b":2,"content-length":1,\#(ourInfo)}"#),
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":"x"}"#),
  (#"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#, #"{"a-long-enough-name":"x""#),
  // The info twice, of another type, behind something wrong, cut, gone.
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":1,\#(ourInfo),\#(ourInfo)}"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":1,"replicationInfo":null}"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":1,"replicationInfo":7}"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":"x",\#(ourInfo)}"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-md5":7,"content-length":1,\#(ourInfo)}"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":1,\#(ourInfo)"#),
  (#"{"content-length":1,\#(ourInfo)}"#, #"{"content-length":1}"#),
  (#"{"content-length":1,"replicationInfo":{"status":7,"storageClass":"aws-east"}}"#, #"{"content-length":1,\#(ourInfo)}"#),
  // Two that repeat no member: refused together, and what the first said is no part of the second.
  (
    #"{"content-length":1,"replicationInfo":{"storageClass":"aws-east"},"replicationInfo":{"content":["DATA"],"x":1}}"#,
    #"{"content-length":1,"replicationInfo":{"content":["DATA"],"x":1}}"#
  ),
  (
    #"{"content-length":1,"replicationInfo":{"content":["PUT_TAGGING"]},"replicationInfo":{"storageClass":"aws-east"}}"#,
    #"{"content-length":1,"replicationInfo":{"storageClass":"aws-east"}}"#
  ),
  // Bucket metadata stay what they are.
  (#"{"a-long-enough-name":"x","attributes":"{}"}"#, #"{"a-long-enough-name":"x","content-length":1,\#(ourInfo)}"#),
]

@Test(arguments: streams.indices)
func whatIsRememberedDecidesNothing(_ index: Int) {
  let (first, second) = streams[index]
  var reader = Reader()
  // Often enough that each takes the other's place in the memory.
  let many = { [String](repeating: $0, count: 20) }
  for text in many(first) + [second, second, first, second] + many(second) + [first, second, first] + many(first) + [second] {
    if let difference = reader.difference(entry(text)) {
      Issue.record("\(text): \(difference)")
      return
    }
  }
}

/// One after the other, so that each is read beside the memory of each.
@Test(arguments: [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3], [3, 0, 1]])
func infosThatDifferInTheirSitesAreToldApart(order: [Int]) {
  for remembered in sites {
    var reader = Reader()
    let first = #"{"content-length":1,\#(info(remembered, order: order))}"#
    for _ in 0..<3 {
      if let difference = reader.difference(entry(first)) { Issue.record("\(first): \(difference)") }
    }
    for site in sites {
      for list in sites {
        // Too seldom to take its place.
        var copy = reader
        for versionId in ["", "7"] {
          let text = #"{"content-length":1,\#(info(site, list: list, order: order, versionId: versionId))}"#
          if let difference = copy.difference(entry(text)) { Issue.record("\(text) behind \(remembered): \(difference)") }
        }
      }
    }
  }
}

/// Values as they may stand in a member nothing is wanted of, and what is none.
private let values = [
  #""""#, #""a""#, #""b""#, #""abcdefgh""#, #""abcdefghi""#, #""abcdxfgh-and-longer-than-two-words""#, #""abcd\"efgh""#, #""abcd\\""#,
  #""abcd\u0041""#, #""été""#,
  #""abcd"# + "\u{1}" + #"""#, #""abcd"#, "0", "1", "7", "12", "123", "120", "01", "00", "-1", "1.5", "12e3", "12e", "12.", "true", "null", "nul",
  "[]", "[12]", "{}", "{\"a\":1}",
  #""a" "#, " 12", "12 ", #""a":1"#, #""a","content-length":3"#, #""a","versionId":"b""#, "", "\\", #"\"#,
]

/// Where such a value stands: alone, in an array, in an object, the first and the last of all, beside others.
private let places: [(@Sendable (String) -> String)] = [
  { #"{"content-length":1,"location":\#($0),\#(ourInfo)}"# }, { #"{"a":\#($0),"content-length":1,\#(ourInfo)}"# },
  { #"{"content-length":1,\#(ourInfo),"x-amz-meta-a":\#($0)}"# },
  { #"{"content-length":1,"location":[{"key":\#($0),"size":12,"start":0}],"b":"c",\#(ourInfo)}"# },
  { #"{"content-length":1,"a":[1,\#($0),"x"],"b":{"c":\#($0)},\#(ourInfo)}"# }, { #"{"content-length":1,\#($0):"b","c":"d",\#(ourInfo)}"# },
]

@Test(arguments: places.indices)
func aValueThatDiffersIsReadAsIfNothingWereRemembered(_ place: Int) {
  for first in values {
    var reader = Reader()
    for _ in 0..<2 { _ = reader.difference(entry(places[place](first))) }
    for (index, second) in values.enumerated() {
      // Too seldom to take its place.
      var copy = reader
      let text = places[place](second)
      if let difference = copy.difference(entry(text), isThorough: index % 5 == 0) { Issue.record("\(text) behind \(first): \(difference)") }
    }
  }
}

/// The same for the entry itself, whose quotes are not escaped.
@Test func aValueOfTheEntryItselfMayDiffer() {
  let start = String(decoding: Sample.envelope(value: #"{"content-length":1,\#(ourInfo)}"#).dropLast(), as: UTF8.self)
  for make: (String) -> String in [
    { #"\#(start),"a":\#($0)}"# }, { #"\#(start),"a":{"b":\#($0)},"site":"s"}"# }, { #"{"a":\#($0),"b":[\#($0),12],\#(start.dropFirst())}"# },
    { #"\#(start),\#($0):12,"ignore":true}"# },
  ] {
    for first in values {
      var reader = Reader()
      for _ in 0..<2 { _ = reader.difference(Array(make(first).utf8)) }
      for (index, second) in values.enumerated() {
        var copy = reader
        if let difference = copy.difference(Array(make(second).utf8), isThorough: index % 5 == 0) {
          Issue.record("\(make(second)) behind \(first): \(difference)")
        }
      }
    }
  }
}

/// Streams of entries of a few buckets, some of them broken: members in another order, repeated, cut, with other bytes in them.
@Test(arguments: 0..<8)
func streamsAreReadAsIfEachEntryWereTheOnlyOne(seed: Int) {
  var random = SeededRandom(seed: UInt64(seed))
  let kinds = (0..<4).map { kind -> [String] in
    var members = [
      #""owner-id":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2b\#(kind)""#, #""content-type":"image/png""#,
      #""acl":{"Canned":"private","FULL_CONTROL":[],"READ":[\#(kind)]}"#, #""content-length":2048"#,
      #""content-md5":"0cc175b9c0f1b6a831c399e269772661""#, #""last-modified":"2031-02-03T04:05:06.789Z""#,
      #""versionId":"9812345678901299999\#(kind)""#,
      #""location":[{"key":"0f3a\(kind)","size":2048,"start":0,"dataStoreName":"us-east-1","dataStoreETag":"1:0cc175b9c0f1b6a8"}]"#,
      #""isDeleteMarker":false"#, #""originOp":"s3:ObjectCreated:Put""#, #""tags":{"k":"v\#(kind)"}"#, #""md-model-version":\#(kind)"#,
      ourInfo.replacing("PENDING", with: kind < 2 ? "PENDING" : "FAILED"), #""x-amz-meta-color":"deep \"blue\"""#,
    ]
    for index in members.indices.dropLast() where random.below(4) == 0 { members.swapAt(index, index + 1) }
    return members
  }
  var reader = Reader()
  var replicated = 0
  for round in 0..<3_000 {
    var members = kinds[random.below(3) == 0 ? random.below(kinds.count) : 0]
    if random.below(8) == 0 { members.insert(members[random.below(members.count)], at: random.below(members.count)) }
    if random.below(8) == 0 { members.remove(at: random.below(members.count)) }
    if random.below(3) == 0 {
      members.removeAll { $0.hasPrefix(#""replicationInfo""#) }
      let (site, list) = (sites[random.below(sites.count)], sites[random.below(sites.count)])
      members.insert(info(site, list: random.below(4) == 0 ? list : nil), at: random.below(members.count))
    } else if random.below(4) == 0 {
      members.removeAll { $0.hasPrefix(#""replicationInfo""#) }
      for half in halves.shuffled(using: &random).prefix(1 + random.below(2)) { members.insert(half, at: random.below(members.count)) }
    }
    if random.below(2) == 0 {
      let (size, tag) = (values[random.below(values.count)], values[random.below(values.count)])
      let location =
        random.below(8) == 0 ? #"{"key":\#(tag),"size":\#(size)}"# : #"{"key":"\#(random.next() >> 20)","size":\#(random.below(4_000)),"start":0}"#
      for index in members.indices where members[index].hasPrefix(#""location""#) { members[index] = #""location":[\#(location)]"# }
    }
    var bytes = entry("{\(members.joined(separator: random.below(16) == 0 ? " , " : ","))}")
    for _ in 0..<(random.below(3) == 0 ? 1 + random.below(3) : 0) {
      let at = random.below(bytes.count)
      switch random.below(4) {
      case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes.insert(Array("\"\\{}[]:,019etn ".utf8)[random.below(14)], at: at)
      case 2: bytes.remove(at: at)
      default: bytes.removeLast(random.below(bytes.count - at))
      }
    }
    if case .replicate = route(bytes) { replicated += 1 }
    if let difference = reader.difference(bytes, isThorough: round % 10 == 0) {
      Issue.record("seed \(seed), round \(round), \(String(decoding: bytes, as: UTF8.self)): \(difference)")
      return
    }
  }
  #expect(replicated > 500, "\(replicated)")
}

@Test func whatIsTooLongIsReadEachTime() {
  var reader = Reader()
  for length in [10, 500, 1_024, 1_025, 5_000, 100_000] {
    let longInfo = ourInfo.replacing("aws-east", with: "aws-east," + String(repeating: "y", count: length))
    let text = #"{"long":"\#(String(repeating: "x", count: length))","content-length":1,\#(longInfo)}"#
    for _ in 0..<3 {
      if let difference = reader.difference(entry(text)) { Issue.record("\(length): \(difference)") }
    }
  }
}
