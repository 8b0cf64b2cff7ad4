// MD5 (what S3 and Backbeat name contents by) and SHA-256 (names of sidecar files), by OpenSSL. MD5 proves that bytes
// arrived as they were read; nobody relies on it against a forger.
internal import COpenSSL
internal import PipelineCore

/// The MD5 of something, 16 bytes.
public struct MD5Digest: Hashable, Sendable, CustomStringConvertible {
  static let bytes = 16

  let high: UInt64
  let low: UInt64

  fileprivate init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// - Parameter hex: 32 hex digits, either case; nil for anything else (an ETag of a multipart object, for example).
  public init?(hex: some StringProtocol) { self.init(hexOctets: hex.utf8) }

  /// - Parameter hexOctets: 32 hex digits, either case; nil for anything else.
  init?(hexOctets: some Collection<UInt8>) {
    guard hexOctets.count == 2 * Self.bytes else { return nil }
    var words: (UInt64, UInt64) = (0, 0)
    for byte in hexOctets {
      guard let value = Hex.value(byte) else { return nil }
      words = (words.0 << 4 | words.1 >> 60, words.1 << 4 | UInt64(value))
    }
    (high, low) = words
  }

  /// Lower-case hex.
  public var hex: String { withBytes { Hex.text($0) } }
  public var description: String { hex }

  /// Lends its 16 bytes.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { body($0) }
  }

  private static let base64Alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// 22 characters, and two of padding.
  static let base64Count = 24

  /// As the header Content-MD5 has it.
  var base64: String { String(bytesMax: Self.base64Count) { appendBase64(to: &$0) } }

  func appendBase64(to text: inout OutputSpan<UInt8>) {
    // Six bits of 128 at a time, the last with four bits of nothing.
    var (high, low) = (high, low)
    for _ in 0..<22 {
      text.append(Self.base64Alphabet[Int(high >> 58)])
      (high, low) = (high << 6 | low >> 58, low << 6)
    }
    text.append(literal: "==")
  }
}

/// MD5 over pieces. One object can do one digest after another.
/// - Thread: one at a time.
public final class MD5 {
  private var context = MD5_CTX()

  public init() { start() }

  /// Forgets what was added.
  public func start() { precondition(MD5_Init(&context) == 1, "MD5_Init") }

  public func add(_ bytes: UnsafeRawBufferPointer) {
    precondition(MD5_Update(&context, bytes.baseAddress, bytes.count) == 1, "MD5_Update")
  }

  /// The digest of what was added since the start; starts anew.
  public func finish() -> MD5Digest {
    var words: (high: UInt64, low: UInt64) = (0, 0)
    withUnsafeMutableBytes(of: &words) { bytes in
      precondition(MD5_Final(bytes.bindMemory(to: UInt8.self).baseAddress, &context) == 1, "MD5_Final")
    }
    start()
    return MD5Digest(high: UInt64(bigEndian: words.high), low: UInt64(bigEndian: words.low))
  }
}

extension MD5 {
  static let blockBytes = 64

  /// Bytes until the next whole block: from there on others may digest.
  var bytesToBlock: Int { context.num == 0 ? 0 : Self.blockBytes - Int(context.num) }

  /// The four words of its state.
  var words: SIMD4<UInt32> { SIMD4(context.A, context.B, context.C, context.D) }

  /// So many blocks were digested elsewhere, and these are the words now.
  func advance(to words: SIMD4<UInt32>, blocks: Int) {
    (context.A, context.B, context.C, context.D) = (words[0], words[1], words[2], words[3])
    let bits = (UInt64(context.Nh) << 32 | UInt64(context.Nl)) &+ UInt64(blocks * Self.blockBytes) &* 8
    context.Nl = UInt32(truncatingIfNeeded: bits)
    context.Nh = UInt32(truncatingIfNeeded: bits >> 32)
  }
}

/// Digests used again, one for each object on its way. - Thread: its owner's.
struct MD5Pool {
  /// Kept at the most; beyond it they are freed.
  static let sparesMax = 64
  private var spares: [MD5] = []

  mutating func take() -> MD5 { spares.popLast() ?? MD5() }

  mutating func giveBack(_ md5: MD5) {
    md5.start()
    if spares.count < Self.sparesMax { spares.append(md5) }
  }
}

/// SHA-256 over pieces; a copy goes on from where the original stood.
struct SHA256 {
  static let blockBytes = 64
  static let digestBytes = 32
  private var context = SHA256_CTX()

  init() { precondition(SHA256_Init(&context) == 1, "SHA256_Init") }

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    precondition(SHA256_Update(&context, bytes.baseAddress, bytes.count) == 1, "SHA256_Update")
  }

  mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

  /// Ends it, and lends the digest.
  mutating func finish<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.digestBytes) { digest in
      precondition(SHA256_Final(digest.baseAddress, &context) == 1, "SHA256_Final")
      return body(UnsafeRawBufferPointer(digest))
    }
  }

  static func withDigest<Result>(of bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    var digest = SHA256()
    digest.add(bytes)
    return digest.finish(body)
  }

  /// Lower-case hex of the digest.
  static func hex(_ bytes: [UInt8]) -> String { withDigest(of: bytes) { Hex.text($0) } }

  /// RFC 2104.
  static func hmac(_ key: [UInt8], _ text: [UInt8]) -> [UInt8] { HMACKey(key).withCode(of: text) { Array($0) } }
}

/// A key of HMAC-SHA-256 with its two blocks digested already: a code then costs two digests, not four.
struct HMACKey {
  private let inner: SHA256
  private let outer: SHA256

  init(_ key: [UInt8]) {
    let key = key.count > SHA256.blockBytes ? SHA256.withDigest(of: key) { Array($0) } : key
    func start(_ pad: UInt8) -> SHA256 {
      var block = [UInt8](repeating: pad, count: SHA256.blockBytes)
      for (index, byte) in key.enumerated() { block[index] ^= byte }
      var digest = SHA256()
      digest.add(block)
      return digest
    }
    inner = start(0x36)
    outer = start(0x5C)
  }

  func withCode<Result>(of text: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    var (inner, outer) = (inner, outer)
    inner.add(text)
    inner.finish { outer.add($0) }
    return outer.finish(body)
  }
}
