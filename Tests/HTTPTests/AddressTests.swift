// Addresses and the allow-list: every spelling of an entry, mapped addresses, and what never matches.
import Testing

@testable import HTTP

struct AddressTests {
  @Test(arguments: [
    ("127.0.0.1", "127.0.0.1", true), ("::1", "::1", true), ("::ffff:10.1.2.3", "10.1.2.3", false),
    ("::ffff:127.0.0.9", "127.0.0.9", true), ("2001:DB8:0:0::1", "2001:db8::1", false),
  ])
  func literalIsReadAndPrinted(_ text: String, _ printed: String, _ isLoopback: Bool) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == printed)
    #expect(address.isLoopback == isLoopback)
  }

  @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.256", "[::1]", "::g", "1.2.3.4:80", "fe80::1%eth0"])
  func otherTextIsNoAddress(_ text: String) { #expect(IPAddress(text) == nil) }

  @Test(arguments: [
    (["10.0.0.0/8"], "10.255.0.1", true), (["10.0.0.0/8"], "11.0.0.1", false), (["10.0.0.7/8"], "10.9.9.9", true),
    (["192.0.2.7"], "192.0.2.7", true), (["192.0.2.7"], "192.0.2.8", false), (["192.0.2.7/32"], "192.0.2.7", true),
    (["192.0.2.7/31"], "192.0.2.6", true), (["0.0.0.0/0"], "8.8.8.8", true), (["0.0.0.0/0"], "2001:db8::1", false),
    (["::/0"], "2001:db8::1", true), (["::/0"], "8.8.8.8", false), (["2001:db8::/32"], "2001:db8:ffff::1", true),
    (["2001:db8::/32"], "2001:db9::1", false), (["2001:db8::1"], "2001:db8::1", true), (["2001:db8::1"], "2001:db8::2", false),
    (["::ffff:10.0.0.0/104"], "10.1.1.1", true), (["::ffff:10.0.0.1"], "10.0.0.1", true), (["10.0.0.0/8"], "::ffff:10.1.1.1", true),
    ([], "127.9.9.9", true), ([], "::1", true), ([], "::ffff:127.0.0.1", true), ([], "10.0.0.1", false),
    (["bogus", "10.0.0.1"], "10.0.0.1", true),
  ])
  func peerIsJudgedByTheList(_ entries: [String], _ peer: String, _ isAllowed: Bool) throws {
    #expect(AllowList(entries).allows(try #require(IPAddress(peer))) == isAllowed)
  }

  @Test(arguments: [
    "bogus", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "::1/129", "10.0.0.0/0x8", "/8", "10.0.0.0/ 8",
    "::ffff:10.0.0.0/8",
  ])
  func entryThatMeansNothingNeverMatchesAndIsReported(_ entry: String) {
    let list = AllowList([entry])
    #expect(list.invalid == [entry])
    #expect(!list.allows(IPAddress("10.0.0.1")!))
  }
}
