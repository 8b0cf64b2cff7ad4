// MD5 (what S3 and Backbeat name contents by) and SHA-256 (names of sidecar files), by OpenSSL. MD5 proves that bytes
// arrived as they were read; nobody relies on it against a forger.
internal import COpenSSL

/// The MD5 of something, 16 bytes.
public struct MD5Digest: Hashable, Sendable, CustomStringConvertible {
  let high: UInt64
  let low: UInt64

  init(bytes: [UInt8]) {
    precondition(bytes.count == 16)
    high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
    low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// - Parameter hex: 32 hex digits, either case; nil for anything else (an ETag of a multipart object, for example).
  public init?(hex: some StringProtocol) {
    guard hex.utf8.count == 32, hex.utf8.allSatisfy({ isHexDigit($0) }) else { return nil }
    guard let high = UInt64(hex.prefix(16), radix: 16), let low = UInt64(hex.suffix(16), radix: 16) else { return nil }
    self.high = high
    self.low = low
  }

  /// Lower-case hex.
  public var hex: String { hexText(high) + hexText(low) }
  public var description: String { hex }

  /// 16 bytes.
  var bytes: [UInt8] {
    [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
  }

  /// As the header Content-MD5 has it.
  var base64: String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    let bytes = self.bytes + [0, 0]
    var text: [UInt8] = []
    for at in stride(from: 0, to: 18, by: 3) {
      let word = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
      for shift in [18, 12, 6, 0] { text.append(alphabet[word >> shift & 63]) }
    }
    // 16 bytes are 22 characters and two of padding.
    return String(decoding: text.prefix(22), as: UTF8.self) + "=="
  }

  private func hexText(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

private func isHexDigit(_ byte: UInt8) -> Bool {
  (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
}

/// MD5 over pieces. One object can do one digest after another; nothing is allocated for a digest once it exists.
/// - Thread: one at a time.
public final class MD5 {
  private let context: OpaquePointer
  private let algorithm: OpaquePointer

  public init() {
    // Fetched once: an implicit look-up at each start would cost more than the digest of a small file.
    guard let context = EVP_MD_CTX_new(), let algorithm = EVP_MD_fetch(nil, "MD5", nil) else {
      preconditionFailure("OpenSSL offers no MD5 (a FIPS-only configuration?): replication cannot check contents")
    }
    self.context = context
    self.algorithm = algorithm
    start()
  }

  deinit {
    EVP_MD_free(algorithm)
    EVP_MD_CTX_free(context)
  }

  /// Forgets what was added.
  public func start() { precondition(EVP_DigestInit_ex(context, algorithm, nil) == 1, "EVP_DigestInit_ex") }

  public func add(_ bytes: UnsafeRawBufferPointer) {
    precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "EVP_DigestUpdate")
  }

  /// The digest of what was added since the start; starts anew.
  public func finish() -> MD5Digest {
    var bytes = [UInt8](repeating: 0, count: 16)
    precondition(EVP_DigestFinal_ex(context, &bytes, nil) == 1, "EVP_DigestFinal_ex")
    start()
    return MD5Digest(bytes: bytes)
  }
}

enum SHA256 {
  static let blockBytes = 64
  /// Fetched once: an implicit look-up costs more than the digest of a request.
  // Unsafe only in the eyes of the compiler: an algorithm never changes once it was fetched.
  private nonisolated(unsafe) static let algorithm: OpaquePointer = {
    guard let algorithm = EVP_MD_fetch(nil, "SHA256", nil) else { preconditionFailure("OpenSSL offers no SHA-256") }
    return algorithm
  }()

  static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    precondition(EVP_Digest(bytes, bytes.count, &digest, nil, algorithm, nil) == 1, "EVP_Digest")
    return digest
  }

  /// Lower-case hex of the digest.
  static func hex(_ bytes: [UInt8]) -> String { SignatureV4.hex(digest(bytes)) }

  /// RFC 2104.
  static func hmac(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] {
    let key = key.count > blockBytes ? digest(key) : key
    var inner = [UInt8](repeating: 0x36, count: blockBytes)
    var outer = [UInt8](repeating: 0x5C, count: blockBytes)
    for (index, byte) in key.enumerated() {
      inner[index] ^= byte
      outer[index] ^= byte
    }
    return digest(outer + digest(inner + text))
  }
}
