// Signature Version 4 against the examples AWS publishes, and against AWS's own Python library for keys they have none for.
import TestSupport
import Testing

@testable import Pipeline

@Suite struct SignatureTests {
  private static let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
  private static let time = "20130524T000000Z"

  struct Example: CustomTestStringConvertible, Sendable {
    var name: String
    var method = "GET"
    var path = "/"
    var query = ""
    var headers: [HTTPHeader] = []
    var payload = CanonicalRequest.emptyPayload
    var signature: String
    var testDescription: String { name }
  }

  /// "Signature Calculations for the Authorization Header", Amazon S3 API reference.
  private static let examples = [
    Example(
      name: "GET object", path: "/test.txt", headers: [HTTPHeader("range", "bytes=0-9")],
      signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    Example(
      name: "PUT object", method: "PUT", path: "/test%24file.text",
      headers: [HTTPHeader("date", "Fri, 24 May 2013 00:00:00 GMT"), HTTPHeader("x-amz-storage-class", "REDUCED_REDUNDANCY")],
      payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    Example(
      name: "GET bucket lifecycle", query: "lifecycle=", signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    Example(
      name: "list objects", query: "max-keys=2&prefix=J", signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
  ]

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test(arguments: examples) func publishedExamplesComeOut(_ example: Example) {
    let headers =
      example.headers + [
        HTTPHeader("host", "examplebucket.s3.amazonaws.com"), HTTPHeader("x-amz-content-sha256", example.payload),
        HTTPHeader("x-amz-date", Self.time),
      ]
    let request = CanonicalRequest(
      method: example.method, path: example.path, query: example.query, headers: HeaderLines(headers),
      payload: example.payload)
    let signer = SignatureV4(
      credentials: S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: Self.secret), region: "us-east-1")
    let authorization = text(signer.authorization(request, time: Self.time))
    #expect(authorization.hasSuffix("Signature=\(example.signature)"))
    #expect(authorization.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "))
  }

  /// "Examples of how to derive a signing key", AWS general reference.
  @Test func thePublishedSigningKeyComesOut() {
    let key = SignatureV4.signingKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", day: "20120215", region: "us-east-1", service: "iam")
    #expect(key.withUnsafeBytes { Hex.text($0) } == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d")
  }

  /// The simplest case of AWS's published test suite.
  @Test func theTestSuitesVanillaGetComesOut() {
    let signer = SignatureV4(
      credentials: S3Credentials(accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), region: "us-east-1",
      service: "service")
    let request = CanonicalRequest(
      method: "GET", path: "/",
      headers: HeaderLines([HTTPHeader("host", "example.amazonaws.com"), HTTPHeader("x-amz-date", "20150830T123600Z")]),
      payload: CanonicalRequest.emptyPayload)
    #expect(
      text(signer.authorization(request, time: "20150830T123600Z")).hasSuffix(
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"))
  }

  @Test func aNewDayHasANewKey() {
    let signer = SignatureV4(credentials: S3Credentials(accessKey: "A", secretKey: "B"), region: "r")
    let request = CanonicalRequest(method: "GET", path: "/", headers: HeaderLines([HTTPHeader("host", "h")]), payload: CanonicalRequest.emptyPayload)
    let first = signer.authorization(request, time: "20130524T235959Z")
    let second = signer.authorization(request, time: "20130525T000000Z")
    #expect(first != second)
    #expect(signer.authorization(request, time: "20130524T235959Z") == first)
  }

  @Test func credentialsNeverPrint() {
    let credentials = S3Credentials(accessKey: "AKIA", secretKey: "hush", sessionToken: "hush too")
    var dumped = ""
    dump(S3Settings(endpoints: ["http://h"], region: "r", credentials: credentials), to: &dumped)
    for text in ["\(credentials)", String(reflecting: credentials), dumped] { #expect(!text.contains("hush")) }
  }

  // MARK: Whole requests

  private static let settings = S3Settings(
    endpoints: ["http://127.0.0.1:9000"], region: "eu-west-3",
    credentials: S3Credentials(accessKey: "AKIDEXAMPLE", secretKey: secret, sessionToken: "token/+=="))

  private func outgoing(_ request: S3Request, _ settings: S3Settings = settings) -> OutgoingRequest {
    let signer = SignatureV4(credentials: settings.credentials, region: settings.region)
    var request = request
    return request.outgoing(
      settings, endpoint: S3Endpoint(settings.endpoints[0]), signature: signer, time: AmazonTime.basic(iso: "2013-05-24T00:00:00.000Z"))
  }

  @Test func bucketsStandInThePathOrInTheHost() {
    #expect(outgoing(S3Request("GET", "bkt", "a b/ü+%")).url == "http://127.0.0.1:9000/bkt/a%20b/%C3%BC%2B%25")
    var settings = Self.settings
    settings.pathStyle = false
    settings.endpoints = ["https://s3.eu-west-3.amazonaws.com"]
    #expect(outgoing(S3Request("GET", "bkt", "../x//y"), settings).url == "https://bkt.s3.eu-west-3.amazonaws.com/../x//y")
    #expect(outgoing(S3Request("GET", "bkt", query: [("versions", ""), ("prefix", "a&b")]), settings).url.hasSuffix("/?prefix=a%26b&versions="))
  }

  /// The bucket's name comes from whoever writes entries; credentials go to the service only.
  @Test func aBucketThatIsNoHostNameNeverChoosesTheHost() {
    var settings = Self.settings
    settings.pathStyle = false
    settings.endpoints = ["https://s3.eu-west-3.amazonaws.com"]
    let names = [
      "evil.example?", "evil.example#", "evil.example:80", "user@evil.example", "evil.example\\", "evil example", "evil.example\t", "ü", "%2e",
      "[::1]",
      "evil_example", "-evil", "evil-", ".evil", "evil.", "ev..il", String(repeating: "e", count: 64),
    ]
    for name in names {
      let request = outgoing(S3Request("GET", name, "k"), settings)
      #expect(request.origin.url == settings.endpoints[0] && request.origin.hostHeader == "s3.eu-west-3.amazonaws.com", "\(name)")
      #expect(request.target == "/\(URIEncoding.encoded(name))/k", "\(name)")
    }
    for name in ["bkt", "a.b-c.0", "Upper", String(repeating: "e", count: 63)] {
      #expect(outgoing(S3Request("GET", name, "k"), settings).url == "https://\(name).s3.eu-west-3.amazonaws.com/k")
    }
  }

  @Test func headersCannotBeSplit() {
    let request = S3Request("PUT", "b", "k", headers: [HTTPHeader("x-amz-meta-note", "one\r\nx-evil: two")], body: .bytes([]))
    #expect(outgoing(request).headers.list.contains(HTTPHeader("x-amz-meta-note", "one  x-evil: two")))
    let named = S3Request("PUT", "b", "k", headers: [HTTPHeader("x-amz-meta-a\r\nx-evil", "two")], body: .bytes([]))
    #expect(outgoing(named).headers.list.contains(HTTPHeader("x-amz-meta-a  x-evil", "two")))
    var bare = OutgoingRequest(method: "GET", origin: HTTPOrigin("http://h"), target: "/a\nb", headers: [HTTPHeader("x-one", "1\u{0}2")])
    bare.headers.append("x-two", "")
    #expect(String(decoding: RequestHead.bytes(bare), as: UTF8.self) == "GET /a b HTTP/1.1\r\nhost: h\r\nx-one: 1 2\r\nx-two: \r\n\r\n")
    #expect(bare.headers.list == [HTTPHeader("x-one", "1 2"), HTTPHeader("x-two", "")])
  }

  /// However names are spelled and spaces stand, and whatever order they come in: as "Create a canonical request" of the AWS reference has it.
  @Test func headersAreSignedByName() {
    let signer = SignatureV4(credentials: S3Credentials(accessKey: "A", secretKey: "B"), region: "r")
    func signature(_ headers: [HTTPHeader]) -> String {
      let request = CanonicalRequest(method: "GET", path: "/", headers: HeaderLines(headers), payload: CanonicalRequest.emptyPayload)
      return text(signer.authorization(request, time: Self.time))
    }
    let plain = signature([HTTPHeader("a", "1"), HTTPHeader("host", "h"), HTTPHeader("x-a", "2 3"), HTTPHeader("x-a-b", ""), HTTPHeader("x-b", "")])
    #expect(plain.contains("SignedHeaders=a;host;x-a;x-a-b;x-b,"))
    #expect(
      signature([HTTPHeader("X-B", ""), HTTPHeader("x-a-b", "  "), HTTPHeader("X-a", "  2   3 "), HTTPHeader("HOST", "h"), HTTPHeader("a", "1")])
        == plain)
    #expect(signature([HTTPHeader("x-a:b", "c")]) == signature([HTTPHeader("x-a", "b: c")]), "as whoever reads that line understands it")
    #expect(HeaderLines([HTTPHeader("x-a:b", "c")]).list == [HTTPHeader("x-a", "b: c")])
    var lines = HeaderLines([HTTPHeader("a", "1"), HTTPHeader("b", "2")])
    lines.removeLast()
    lines.append("c", "3")
    #expect(lines.list == [HTTPHeader("a", "1"), HTTPHeader("c", "3")] && lines.count == 2)
  }

  /// AWS's own implementation, from the environment of the S3 server the other tests use.
  @Test func oddKeysAreSignedAsBotocoreSignsThem() throws {
    let directory = TemporaryDirectory()
    let keys = OddKeys.all
    try writeFile("\(directory.path)/keys", keys.map { $0.utf8.map { String($0, radix: 16) }.joined(separator: " ") }.joined(separator: "\n"))
    try writeFile("\(directory.path)/sign.py", Self.script)
    let python = try ChildProcess(
      try MotoServer.tool("python"), ["\(directory.path)/sign.py", "\(directory.path)/keys", Self.secret], outputPath: "\(directory.path)/out")
    #expect(python.wait(within: .seconds(120)) == .exited(0), "\(python.output)")
    let expected = python.output.split(separator: "\n").map(String.init)
    try #require(expected.count == keys.count, "\(python.output)")
    for (key, signature) in zip(keys, expected) {
      let request = S3Request(
        "PUT", "bkt", key, query: [("versionId", "a+b/c=="), ("tagging", "")], headers: [HTTPHeader("x-amz-meta-two", "a  b")],
        body: .streamed(length: 1))
      let own = outgoing(request).headers.list.first { $0.name == "authorization" }?.value ?? ""
      #expect(own.hasSuffix("Signature=\(signature)"), "\(key.debugDescription)")
    }
  }

  private static let script = """
    import datetime, sys
    import botocore.auth, botocore.awsrequest, botocore.credentials
    from urllib.parse import quote
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", sys.argv[2], "token/+==")
    fixed, zone = datetime.datetime(2013, 5, 24), datetime.timezone
    class Module:
        class datetime:
            utcnow = staticmethod(lambda: fixed)
            now = staticmethod(lambda zone=None: fixed)
        timezone = zone
    if hasattr(botocore.auth, "get_current_datetime"): botocore.auth.get_current_datetime = lambda *a, **k: fixed
    else: botocore.auth.datetime = Module
    for line in open(sys.argv[1]):
        key = bytes(int(x, 16) for x in line.split())
        url = "http://127.0.0.1:9000/bkt/" + quote(key, safe="/~") + "?tagging=&versionId=" + quote("a+b/c==", safe="")
        request = botocore.awsrequest.AWSRequest(method="PUT", url=url, headers={"x-amz-meta-two": "a  b"}, data=b"x")
        request.context["payload_signing_enabled"] = False
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        signer = botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-3")
        signer.payload = lambda r: "UNSIGNED-PAYLOAD"
        signer.add_auth(request)
        print(request.headers["Authorization"].split("Signature=")[1])
    """
}
