// An answer as a value: status, type, body, and further header lines already rendered. Copying one copies references, so
// a cached answer is given out without an allocation.

public struct Response: Sendable {
  public var status: HTTPStatus
  public var contentType: StaticString
  public var body: [UInt8]
  /// Whole lines, each with its CRLF.
  private(set) var headerLines: [UInt8] = []

  public init(_ status: HTTPStatus, contentType: StaticString = Self.json, body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  public init(_ status: HTTPStatus, contentType: StaticString = Self.json, text: String) {
    self.init(status, contentType: contentType, body: Array(text.utf8))
  }

  public static let json: StaticString = "application/json"
  public static let plainText: StaticString = "text/plain; charset=utf-8"
  public static let html: StaticString = "text/html; charset=utf-8"
  public static let prometheus: StaticString = "text/plain; version=0.0.4; charset=utf-8"

  /// Adds a header line.
  /// - Precondition: `value` holds no control octet: a line break would begin another header.
  public mutating func addHeader(_ name: StaticString, _ value: String) {
    precondition(value.utf8.allSatisfy(ASCII.isFieldValue), "control octet in header \(name)")
    headerLines.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    headerLines.append(contentsOf: ": ".utf8)
    headerLines.append(contentsOf: value.utf8)
    headerLines.append(contentsOf: "\r\n".utf8)
  }

  public func addingHeader(_ name: StaticString, _ value: String) -> Response {
    var copy = self
    copy.addHeader(name, value)
    return copy
  }
}
