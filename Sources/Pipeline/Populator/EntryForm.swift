// The entry of one object for one location, in Backbeat's format (envelope with the metadata as JSON text). An object of a
// file source has no version: its modification time says which state of it is meant. Its MD5 is left empty and computed
// while it is copied.

struct EntryForm {
  let site: String

  /// - Parameter file: nil if the object was deleted (a delete marker).
  func encode(_ object: ObjectName, _ file: WalkedFile?) -> (key: [UInt8], value: [UInt8]) {
    var value = JSONText()
    value.text += "{\"type\":\"put\",\"bucket\":"
    value.string(object.bucket)
    value.text += ",\"key\":"
    value.string(object.key)
    value.text += ",\"value\":"
    value.string("{\"content-length\":\(file?.size ?? 0),\"isDeleteMarker\":\(file == nil)}")
    value.text += ",\"overheadFields\":{}}"
    return (percentEncoded(object.bucket + "/" + object.key), Array(value.text.utf8))
  }
}

private struct JSONText {
  var text = ""
  mutating func string(_ string: String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

private func percentEncoded(_ text: String) -> [UInt8] {
  let digits = Array("0123456789ABCDEF".utf8)
  var out: [UInt8] = []
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): out.append(byte)
    default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }
  return out
}
