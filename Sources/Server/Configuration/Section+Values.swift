// Values with a grammar of their own: hosts, ports, paths, topics, secrets.
//
// A secret is written in one of three ways: `password: text`, `passwordFile: path`, `passwordEnv: VARIABLE`. More than one
// is an error, so nobody wonders which one counts. Messages name the field and the file, never the content.

internal import CLinux
internal import Glibc
internal import HTTP

extension Section {
  /// 64 KiB: no password, key or token is longer.
  private static let secretBytesMax = 65_536

  func port(_ name: String = "port", allowsZero: Bool = false) -> Int? {
    int(name, in: (allowsZero ? 0 : 1)...65_535)
  }

  /// `host`, `host:port`, `[v6]:port`; several with commas when `many`.
  func hostPorts(_ name: String, defaultPort: Int, many: Bool = true) -> [HostPort]? {
    guard let text = string(name) else { return nil }
    let parts = many ? text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) : [text]
    var hosts: [HostPort] = []
    for part in parts {
      guard let host = HostPort(part.trimmed, defaultPort: defaultPort) else {
        error(name, "“\(part.trimmed)” is not a host and port")
        return nil
      }
      hosts.append(host)
    }
    return hosts
  }

  /// The two fields `host` and `port` of Backbeat's sections; nil when the section has neither.
  func hostAndPort(defaultPort: Int? = nil, defaultHost: String? = nil) -> HostPort? {
    guard isPresent else { return nil }
    let (host, port) = (string("host") ?? defaultHost, port() ?? defaultPort)
    if host == nil && !has("host") { missing("host") }
    if port == nil && !has("port") { missing("port") }
    guard let host, let port else { return nil }
    guard let both = HostPort("\(host.contains(":") ? "[\(host)]" : host):\(port)", defaultPort: port) else {
      error("host", "“\(host)” is not a host name or address")
      return nil
    }
    return both
  }

  /// `probeServer: {bindAddress, port}`; the address `localhost` or a literal.
  func probeServer() -> HostPort? {
    let probe = section("probeServer")
    guard probe.isPresent else { return nil }
    let address = probe.string("bindAddress", default: "localhost")
    if address != "localhost", IPAddress(address) == nil {
      probe.error("bindAddress", "must be an IP address or localhost, not “\(address)”")
    }
    let port = probe.port()
    if port == nil && !probe.has("port") { probe.missing("port") }
    probe.finish()
    return port.map { HostPort(host: address, port: $0) }
  }

  /// An absolute path, without its trailing slashes.
  func absolutePath(_ name: String) -> String? {
    guard let text = string(name) else { return nil }
    guard text.hasPrefix("/") else {
      error(name, "must be an absolute path, not “\(text)”")
      return nil
    }
    return Paths.normalized(text)
  }

  /// A Kafka topic name (before any prefix).
  func topic(_ name: String, default value: String, prefix: String) -> String {
    guard let text = string(name) else { return value }
    if !TopicName.isLegal(prefix + text) {
      error(name, "“\(prefix + text)” is not a Kafka topic name (letters, digits, `.`, `_`, `-`, at most 249)")
    }
    return text
  }

  /// The secret `name`, however it was given; nil when it was not.
  func secret(_ name: String) -> Secret? {
    let given = [name, name + "File", name + "Env"].filter(has)
    if given.count > 1 {
      error(given[1], "is given together with “\(given[0])”: keep one")
      return nil
    }
    switch given.first {
    case name: return string(name, mayBeEmpty: true).map(Secret.init)
    case name + "File": return secretFile(name + "File")
    case name + "Env": return secretVariable(name + "Env")
    default: return nil
    }
  }

  /// The content of the file a field names, less one final line end.
  private func secretFile(_ name: String) -> Secret? {
    guard let path = string(name) else { return nil }
    do {
      var text = try BoundedFile.readText(context.resolve(path), bytesMax: Self.secretBytesMax)
      if text.hasSuffix("\r\n") || text.hasSuffix("\n") { text.removeLast() }  // "\r\n" is one Character
      if text.isEmpty { error(name, "\(path) is empty") }
      return text.isEmpty ? nil : Secret(text)
    } catch let failure {
      error(name, failure.description)
      return nil
    }
  }

  private func secretVariable(_ name: String) -> Secret? {
    guard let variable = string(name) else { return nil }
    guard let value = context.environment[variable], !value.isEmpty else {
      error(name, "the environment variable \(variable) is not set")
      return nil
    }
    return Secret(value)
  }
}

extension HostPort {
  /// Reads `host`, `host:port`, `address`, `[v6]` or `[v6]:port`; nil when it is none of them.
  init?(_ text: String, defaultPort: Int) {
    var host = Substring(text)
    var portText: Substring?
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      if !rest.isEmpty { portText = rest.dropFirst() }
      guard IPAddress(String(host)) != nil else { return nil }
    } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
      host = text[..<colon]
      portText = text[text.index(after: colon)...]
    } else if text.contains(":"), IPAddress(text) == nil {
      return nil
    }
    let isHostByte: (UInt8) -> Bool = { byte in
      UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
        || [UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":")].contains(byte)
    }
    guard !host.isEmpty, host.utf8.allSatisfy(isHostByte) else { return nil }
    var port = defaultPort
    if let portText {
      guard portText.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let number = Int(portText),
        (1...65_535).contains(number)
      else { return nil }
      port = number
    }
    self.init(host: String(host), port: port)
  }
}

/// Kafka's rule for topic names.
enum TopicName {
  static func isLegal(_ name: String) -> Bool {
    (1...249).contains(name.utf8.count) && name != "." && name != ".." && name.utf8.allSatisfy(isLegal)
  }

  private static func isLegal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// Paths as text, without looking at the disk.
enum Paths {
  /// The path below the working directory unless it is absolute; otherwise as it is.
  static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let current = getcwd(nil, 0) else { return "/" + path }
    defer { free(current) }
    return String(cString: current) + "/" + path
  }

  /// The absolute path without empty, `.` and `..` parts. Links are not looked at.
  static func normalized(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// Whether one is the other or lies inside it. Both normalized.
  static func overlap(_ left: String, _ right: String) -> Bool {
    let (short, long) = left.utf8.count <= right.utf8.count ? (left, right) : (right, left)
    return short == long || short == "/" || long.hasPrefix(short + "/")
  }
}

extension StringProtocol {
  /// Without blanks and tabs at both ends.
  var trimmed: String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    return String(drop(while: isBlank).reversed().drop(while: isBlank).reversed())
  }
}
