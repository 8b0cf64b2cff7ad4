import Testing

@testable import Server

@Suite struct AddressTests {
  @Test(arguments: [
    ("10.1.2.3", "10.1.2.3", true), ("10.1.2.3", "10.1.2.4", false), ("127.0.0.1", "127.9.9.9", true),
    ("127.0.0.1/32", "127.9.9.9", false), ("127.0.0.1/8", "127.255.0.1", true), ("10.0.0.0/9", "10.127.255.255", true),
    ("10.0.0.0/9", "10.128.0.0", false), ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false),
    ("::1", "::1", true), ("::1", "::2", false), ("fe80::/10", "febf::1", true), ("fe80::/10", "fec0::1", false),
    ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("::ffff:10.1.1.1", "10.1.1.1", true), ("::/0", "2001:db8::1", true),
  ]) func aRangeHoldsTheAddressesThatShareItsPrefix(range: String, address: String, isInside: Bool) throws {
    let bytes = try #require(AddressRange.addressBytes(address))
    #expect(try #require(AddressRange(range)).contains(bytes) == isInside)
  }

  @Test(arguments: [
    "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0", "::/129", "a.example", "10.0.0.0/8/8",
  ])
  func anythingElseIsNoRange(_ text: String) {
    #expect(AddressRange(text) == nil)
  }

  @Test(arguments: [
    ("a", "a", 7), ("a:1", "a", 1), ("a.b-c:65535", "a.b-c", 65_535), ("[::1]:80", "::1", 80), ("[::1]", "::1", 7),
    ("::1", "::1", 7), ("10.0.0.1:9", "10.0.0.1", 9),
  ]) func aHostMayHaveAPort(text: String, host: String, port: Int) {
    #expect(HostPort(text, defaultPort: 7) == HostPort(host: host, port: port))
  }

  @Test(arguments: ["", ":1", "a:", "a:0", "a:65536", "a:1:2", "[::1", "[::1]x", "[a]:1", "a b", "http://a", "a:+1", "é"])
  func anythingElseIsNoHost(_ text: String) {
    #expect(HostPort(text, defaultPort: 7) == nil)
  }

  @Test(arguments: [
    ("/a", "/a", true), ("/a", "/a/b", true), ("/a/b", "/a", true), ("/a", "/ab", false), ("/", "/x", true),
    ("/a/b", "/a/c", false),
  ]) func treesOverlapWhenOneHoldsTheOther(left: String, right: String, overlap: Bool) {
    #expect(Paths.overlap(left, right) == overlap)
  }

  @Test(arguments: [("/a//b/./c/", "/a/b/c"), ("/a/../b", "/b"), ("/../..", "/"), ("/", "/")])
  func pathsAreNormalizedAsText(path: String, normal: String) {
    #expect(Paths.normalized(path) == normal)
  }
}
