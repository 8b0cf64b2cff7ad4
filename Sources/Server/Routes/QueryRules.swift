// The query parameters of the API and what they must be.
internal import HTTP

enum QueryRules {
  static let waitSMax = 3_600

  /// `?wait=S` of a pause: an integer from 1 to 3600; nil when absent.
  static func wait(_ query: QueryItems, _ bytes: Span<UInt8>) throws(RouteError) -> Int? {
    guard let text = try single("wait", query, bytes) else { return nil }
    guard !text.isEmpty, text.utf8.count <= 8, text.utf8.allSatisfy(ASCII.isDigit), let seconds = Int(text),
      seconds >= 1, seconds <= waitSMax
    else { throw .invalidQuery(name: "wait", rule: "must be an integer from 1 to \(waitSMax), in seconds") }
    return seconds
  }

  struct FailedPage: Equatable {
    /// nil: none named, and none is listed.
    var location: String?
    /// Unix ms.
    var marker: Int64?
  }

  /// `?sitename=&marker=`: a site may be any text but the empty one; a marker must begin with an integer (as in Backbeat).
  static func failedPage(_ query: QueryItems, _ bytes: Span<UInt8>) throws(RouteError) -> FailedPage {
    var page = FailedPage()
    if let text = try single("marker", query, bytes) {
      guard let marker = integerPrefix(text) else { throw .invalidQuery(name: "marker", rule: "must be a number") }
      page.marker = marker
    }
    if let text = try single("sitename", query, bytes) {
      guard !text.isEmpty else { throw .invalidQuery(name: "sitename", rule: "must not be empty") }
      page.location = text
    }
    return page
  }

  /// `?name[]=` of the Prometheus page, as often as families are wanted (the Java client's convention); none: all.
  static func families(_ query: QueryItems, _ bytes: Span<UInt8>) throws(RouteError) -> Set<String> {
    guard let names = query.values("name[]", in: bytes) else {
      throw .invalidQuery(name: "name[]", rule: "is not valid percent-encoded UTF-8")
    }
    guard !names.contains("") else { throw .invalidQuery(name: "name[]", rule: "must name a metric") }
    return Set(names)
  }

  private static func single(_ name: StaticString, _ query: QueryItems, _ bytes: Span<UInt8>) throws(RouteError) -> String? {
    switch query.value(name, in: bytes) {
    case .absent: return nil
    case .single(let text): return text
    case .repeated: throw .invalidQuery(name: name.description, rule: "must be given once")
    case .malformed: throw .invalidQuery(name: name.description, rule: "is not valid percent-encoded UTF-8")
    }
  }

  /// JavaScript's `parseInt`: white space, a sign, digits, then anything. Saturates.
  private static func integerPrefix(_ text: String) -> Int64? {
    var rest = text.utf8.drop { $0 == ASCII.space || (0x09...0x0D).contains($0) }
    let isNegative = rest.first == 0x2D
    if isNegative || rest.first == ASCII.plus { rest = rest.dropFirst() }
    let digits = rest.prefix { ASCII.isDigit($0) }
    guard !digits.isEmpty else { return nil }
    var value: Int64 = 0
    for digit in digits {
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = scaled.addingReportingOverflow(Int64(digit - ASCII.zero))
      if overflow || overflow2 { return isNegative ? .min : .max }
      value = sum
    }
    return isNegative ? -value : value
  }
}
