// The few XML documents S3 answers with: errors, multipart uploads, tags, version lists. A small strict reader: elements,
// text, CDATA, the five named and the numeric entities. Attributes are skipped over, prefixes of names dropped.
//
// Refused: document types (nothing external is ever fetched or expanded), and more nesting or bytes than S3 has.

struct XMLElement {
  /// Levels of nesting.
  static let depthMax = 16
  /// A list of 1,000 versions with keys of 1,024 characters, each escaped.
  static let bytesMax = 16 << 20

  var name = ""
  var text = ""
  var children: [XMLElement] = []

  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  /// - Returns: the root element.
  init(parsing bytes: [UInt8]) throws(Malformed) {
    guard bytes.count <= Self.bytesMax else { throw Malformed(description: "\(bytes.count) bytes of XML") }
    var reader = XMLReader(bytes)
    self = try reader.document()
  }

  fileprivate init(name: String) { self.name = name }

  subscript(name: String) -> XMLElement? { children.first { $0.name == name } }
  func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
  /// Text of a child element.
  func text(_ name: String) -> String? { self[name]?.text }
}

private struct XMLReader {
  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
  }

  mutating func document() throws(XMLElement.Malformed) -> XMLElement {
    try skipBetween()
    let root = try element(depth: 1)
    try skipBetween()
    guard at == bytes.count else { throw malformed("text behind the root element") }
    return root
  }

  /// White space, declarations and comments outside the root.
  private mutating func skipBetween() throws(XMLElement.Malformed) {
    while at < bytes.count {
      if isSpace(bytes[at]) {
        at += 1
      } else if !(try skipMarkup()) {
        return
      }
    }
  }

  /// A comment or processing instruction, if one stands here.
  private mutating func skipMarkup() throws(XMLElement.Malformed) -> Bool {
    if starts("<?") {
      at = try find("?>") + 2
    } else if starts("<!--") {
      at = try find("-->") + 3
    } else {
      guard !starts("<!D") && !starts("<!E") else { throw malformed("a document type") }
      return false
    }
    return true
  }

  private mutating func element(depth: Int) throws(XMLElement.Malformed) -> XMLElement {
    guard depth <= XMLElement.depthMax else { throw malformed("nested too deeply") }
    guard starts("<") else { throw malformed("no element") }
    at += 1
    var result = XMLElement(name: try name())
    if try skipAttributes() { return result }
    var text: [UInt8] = []
    while true {
      guard at < bytes.count else { throw malformed("ends inside <\(result.name)>") }
      if starts("</") {
        at += 2
        guard try name() == result.name else { throw malformed("<\(result.name)> ends as something else") }
        skipSpaces()
        guard starts(">") else { throw malformed("no end of a tag") }
        at += 1
        break
      } else if starts("<![CDATA[") {
        let end = try find("]]>")
        text += bytes[(at + 9)..<end]
        at = end + 3
      } else if try skipMarkup() {
        continue
      } else if bytes[at] == UInt8(ascii: "<") {
        result.children.append(try element(depth: depth + 1))
      } else {
        try readText(into: &text)
      }
    }
    guard let valid = String(validating: text, as: UTF8.self) else { throw malformed("no UTF-8") }
    result.text = valid
    return result
  }

  private mutating func readText(into text: inout [UInt8]) throws(XMLElement.Malformed) {
    while at < bytes.count, bytes[at] != UInt8(ascii: "<") {
      guard bytes[at] == UInt8(ascii: "&") else {
        text.append(bytes[at])
        at += 1
        continue
      }
      let end = try find(";")
      guard end - at <= 12 else { throw malformed("an endless entity") }
      text += try entity(String(decoding: bytes[(at + 1)..<end], as: UTF8.self))
      at = end + 1
    }
  }

  private func entity(_ name: String) throws(XMLElement.Malformed) -> [UInt8] {
    switch name {
    case "lt": return [UInt8(ascii: "<")]
    case "gt": return [UInt8(ascii: ">")]
    case "amp": return [UInt8(ascii: "&")]
    case "quot": return [UInt8(ascii: "\"")]
    case "apos": return [UInt8(ascii: "'")]
    default:
      let value = name.hasPrefix("#x") ? UInt32(name.dropFirst(2), radix: 16) : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
      guard let value, let scalar = Unicode.Scalar(value) else { throw malformed("an unknown entity") }
      return Array(String(scalar).utf8)
    }
  }

  /// A name without its prefix.
  private mutating func name() throws(XMLElement.Malformed) -> String {
    let start = at
    while at < bytes.count, !isSpace(bytes[at]), bytes[at] != UInt8(ascii: ">"), bytes[at] != UInt8(ascii: "/") { at += 1 }
    guard at > start else { throw malformed("an element without a name") }
    let local = bytes[start..<at].split(separator: UInt8(ascii: ":")).last ?? []
    return String(decoding: local, as: UTF8.self)
  }

  /// To the end of a start tag. - Returns: whether the element ends with it.
  private mutating func skipAttributes() throws(XMLElement.Malformed) -> Bool {
    while at < bytes.count {
      switch bytes[at] {
      case UInt8(ascii: ">"):
        at += 1
        return false
      case UInt8(ascii: "/") where at + 1 < bytes.count && bytes[at + 1] == UInt8(ascii: ">"):
        at += 2
        return true
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        guard let end = bytes[(at + 1)...].firstIndex(of: bytes[at]) else { throw malformed("an endless attribute") }
        at = end + 1
      case UInt8(ascii: "<"): throw malformed("a tag inside a tag")
      default: at += 1
      }
    }
    throw malformed("an endless tag")
  }

  private mutating func skipSpaces() { while at < bytes.count, isSpace(bytes[at]) { at += 1 } }

  private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

  private func starts(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard at + count <= bytes.count else { return false }
    for index in 0..<count where bytes[at + index] != text.utf8Start[index] { return false }
    return true
  }

  private func find(_ text: String) throws(XMLElement.Malformed) -> Int {
    let wanted = Array(text.utf8)
    var index = at
    while index + wanted.count <= bytes.count {
      if bytes[index] == wanted[0], bytes[index..<(index + wanted.count)].elementsEqual(wanted) { return index }
      index += 1
    }
    throw malformed("no \(text)")
  }

  private func malformed(_ what: String) -> XMLElement.Malformed { XMLElement.Malformed(description: "\(what), at byte \(at)") }
}

extension String {
  /// For text inside an XML element.
  var xmlEscaped: String {
    var text = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\r": text += "&#13;"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
