// What `replicationInfo` was in an entry before, to the last byte: compared instead of read again (see EntryMemory).
//
// Objects that go to one site each have infos that differ in nothing but its name, which stands in them twice. A location reads those of
// all sites, most of them to find that they are not its own; so the bytes around the names are compared, and the names taken as they are.

struct InfoMemory: Sendable {
  static let bytesMax = 2_048
  /// Not worth remembering.
  static let bytesMin = 16

  /// Empty: nothing is remembered.
  private var bytes: [UInt8]
  /// 0: none.
  private var count = 0
  /// What was found in it, positions counted from its beginning.
  private var found = InfoFields()
  private var turns = TurnTaking()

  init(isKept: Bool) { bytes = isKept ? [UInt8](repeating: 0, count: Self.bytesMax) : [] }

  /// Passes the object remembered, if it stands here, and tells what is in it.
  /// - Parameter site: whose entries are read.
  func pass(_ text: Span<UInt8>, _ at: inout Int, _ site: Site?, _ fields: inout EntryFields) -> Bool {
    guard count > 0, fields.fieldProblem == nil else { return false }
    let start = at
    if isSame(text, &at, 0..<count) {
      fields.info = found.moved(by: Int32(start))
      return true
    }
    guard let info = passOther(text, &at, site) else { return false }
    fields.info = info
    return true
  }

  /// - Parameter fields: with what was found in this very object, and nothing else in their `info`.
  mutating func keep(_ text: Span<UInt8>, _ range: Range<Int>, _ fields: EntryFields) {
    guard !bytes.isEmpty, fields.fieldProblem == nil, (Self.bytesMin...Self.bytesMax).contains(range.count) else { return }
    guard count == 0 || turns.differs() else { return }
    count = range.count
    found = fields.info.moved(by: -Int32(range.lowerBound))
    for index in 0..<count { bytes[index] = text[range.lowerBound + index] }
  }

  /// The same with another site in it, as long as that is not the one asked for: of that, more must be told.
  private func passOther(_ text: Span<UInt8>, _ at: inout Int, _ site: Site?) -> InfoFields? {
    guard found.backendCount == 1, found.backend.isPlain, found.storageClass.isPlain else { return nil }
    let isBackendFirst = found.backend.start < found.storageClass.start
    let (first, second) = isBackendFirst ? (found.backend, found.storageClass) : (found.storageClass, found.backend)
    var here = at
    guard isSame(text, &here, 0..<Int(first.start)) else { return nil }
    let newFirst = passName(text, &here, like: first)
    guard isSame(text, &here, Int(first.end)..<Int(second.start)) else { return nil }
    let newSecond = passName(text, &here, like: second)
    guard isSame(text, &here, Int(second.end)..<count) else { return nil }
    var info = found
    (info.backend, info.storageClass) = isBackendFirst ? (newFirst, newSecond) : (newSecond, newFirst)
    if let site, site.equals(info.backend, in: text) { return nil }
    info.siteStatus = .absent
    info.siteVersionId = .absent
    let status = found.status.start
    info.status = found.status.moved(
      by: status < first.start ? Int32(at) : status < second.start ? newFirst.end - first.end : newSecond.end - second.end)
    at = here
    return info
  }

  /// As far as it holds nothing special; whether a quote ends it is for the text behind it to say.
  private func passName(_ text: Span<UInt8>, _ at: inout Int, like slice: TextSlice) -> TextSlice {
    var name = slice
    name.start = Int32(at)
    at = ByteScan.special(text, at)
    name.end = Int32(at)
    name.firstEscape = name.end
    return name
  }

  /// Passes a part of what is remembered, if it stands here.
  private func isSame(_ text: Span<UInt8>, _ at: inout Int, _ part: Range<Int>) -> Bool {
    guard ByteScan.sameCount(text, at, bytes.span, part.lowerBound, part.count) == part.count else { return false }
    at += part.count
    return true
  }
}
