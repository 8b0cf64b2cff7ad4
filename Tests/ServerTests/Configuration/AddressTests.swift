import Testing

@testable import Server

@Suite struct AddressTests {
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
