// The pass over `replicationInfo`: what is to be copied, to where, and how the asked site stands.

extension EntryDecoder {
  static func scanReplicationInfo(
    _ text: Span<UInt8>, _ at: inout Int, _ site: Site?, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    let open = try NestedJSON.peek(text, &at)
    guard open.byte == UInt8(ascii: "{") else {
      if open.byte != UInt8(ascii: "n") { fields.fieldProblem = .valueFieldWrongType }
      return try NestedJSON.skipValue(text, &at, depth: 1)
    }
    at += open.width
    var isFirst = true
    while true {
      let name = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { return }
      let bit: UInt32
      switch ShortText(name, in: text) {
      case .status:
        bit = 0
        try scanText(NestedJSON.self, text, &at, &fields.info.status, &fields.fieldProblem)
      case .storageClass:
        bit = 1
        try scanText(NestedJSON.self, text, &at, &fields.info.storageClass, &fields.fieldProblem)
      case .content:
        bit = 2
        try scanContent(text, &at, &fields)
      case .backends:
        bit = 3
        try scanBackends(text, &at, site, &fields)
      default:
        try NestedJSON.skipValue(text, &at, depth: 2)
        continue
      }
      guard fields.info.seen.first(bit) else { throw .valueDuplicateField }
    }
  }

  private static func scanContent(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields) throws(DeadLetterReason) {
    guard try openArray(text, &at, &fields) else { return }
    var isFirst = true
    while try NestedJSON.nextElement(text, &at, isFirst: &isFirst) {
      if let kind = NestedJSON.usualString(text, &at) {
        fields.info.content.insert(ContentKinds(kind, in: text))
        continue
      }
      let char = try NestedJSON.peek(text, &at)
      guard char.byte == UInt8(ascii: "\"") else {
        fields.fieldProblem = .valueFieldWrongType
        try NestedJSON.skipValue(text, &at, depth: 3)
        continue
      }
      at += char.width
      fields.info.content.insert(ContentKinds(try NestedJSON.string(text, &at), in: text))
    }
  }

  private static func scanBackends(
    _ text: Span<UInt8>, _ at: inout Int, _ site: Site?, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    guard try openArray(text, &at, &fields) else { return }
    var isFirst = true
    while try NestedJSON.nextElement(text, &at, isFirst: &isFirst) {
      let char = try NestedJSON.peek(text, &at)
      guard char.byte == UInt8(ascii: "{") else {
        fields.fieldProblem = .valueFieldWrongType
        try NestedJSON.skipValue(text, &at, depth: 3)
        continue
      }
      at += char.width
      try scanBackend(text, &at, site, &fields)
    }
  }

  private static func scanBackend(
    _ text: Span<UInt8>, _ at: inout Int, _ site: Site?, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    var name = TextSlice.absent
    var status = TextSlice.absent
    var versionId = TextSlice.absent
    var isFirst = true
    while true {
      let member = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
      guard member.isPresent else { break }
      switch ShortText(member, in: text) {
      case .site: try scanText(NestedJSON.self, text, &at, &name, &fields.fieldProblem)
      case .status: try scanText(NestedJSON.self, text, &at, &status, &fields.fieldProblem)
      case .dataStoreVersionId: try scanText(NestedJSON.self, text, &at, &versionId, &fields.fieldProblem)
      default: try NestedJSON.skipValue(text, &at, depth: 4)
      }
    }
    fields.info.backend = name
    fields.info.backendCount = max(fields.info.backendCount, fields.info.backendCount &+ 1)
    guard let site, name.isPresent, site.equals(name, in: text) else { return }
    fields.info.siteStatus = status
    fields.info.siteVersionId = versionId
  }

  /// True inside an array; null is passed, anything else is a wrong type and passed too.
  private static func openArray(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields) throws(DeadLetterReason)
    -> Bool
  {
    let open = try NestedJSON.peek(text, &at)
    if open.byte == UInt8(ascii: "[") {
      at += open.width
      return true
    }
    if open.byte != UInt8(ascii: "n") { fields.fieldProblem = .valueFieldWrongType }
    try NestedJSON.skipValue(text, &at, depth: 2)
    return false
  }
}
