// Keys to names and back: the rules one by one, then random keys made of everything that could confuse them.
import Pipeline
import TestSupport
import Testing

@Suite struct KeyPathTests {
  private func name(_ key: String, isDisplaced: Bool = false) -> String? {
    // An error shows as nil in the comparison.
    (try? Pipeline.KeyPath.path(bucket: nil, key: key, isDisplaced: isDisplaced))?.text
  }

  @Test(arguments: [
    ("a/b c/ü", "a/b c/ü"), ("", "%00"), ("/", "%00/%00"), ("a//b", "a/%00/b"), ("dir/", "dir/%00"),
    (".", "%2E"), ("..", "%2E%2E"), ("a/../b", "a/%2E%2E/b"), ("...", "..."), (".a", ".a"),
    (".downbeat/x", "%2Edownbeat/x"), ("x/.downbeat", "x/.downbeat"), (".downbeat2", ".downbeat2"),
    ("a\0b", "a%00b"), ("\0", "%00%00"), ("\0\0", "%00%00%00"),
    ("%41", "%2541"), ("100%", "100%"), ("%4", "%4"), ("%zz", "%zz"), ("%%41", "%%2541"), ("%2F", "%252F"), ("%2b", "%252b"),
    ("a:b\\c*?", "a:b\\c*?"),
  ]) func keysBecomeNames(key: String, expected: String) throws {
    #expect(name(key) == expected)
    let back = try #require(Pipeline.KeyPath.object(at: Array(expected.utf8), hasBucket: false))
    #expect(back.key == key && !back.isDisplaced)
  }

  @Test func aKeyThatIsAlsoADirectoryGetsASuffixThatCannotBeAKeysOwn() throws {
    #expect(name("a/b", isDisplaced: true) == "a/b%2F")
    let back = try #require(Pipeline.KeyPath.object(at: Array("a/b%2F".utf8), hasBucket: false))
    #expect(back.key == "a/b" && back.isDisplaced)
    #expect(name("a/b%2F") == "a/b%252F")
  }

  @Test func longPartsAreSplitAndComeBackWhole() throws {
    let key = String(repeating: "ä", count: 512) + "/" + String(repeating: "%41", count: 100)
    let path = try Pipeline.KeyPath.path(bucket: nil, key: key)
    for component in path.text.split(separator: "/") { #expect(component.utf8.count <= 255) }
    #expect(Pipeline.KeyPath.object(at: path.bytes, hasBucket: false)?.key == key)
    #expect(name(String(repeating: "a", count: 255))?.utf8.count == 255)
    // What is left over after the split is `..`, and must not climb.
    let tricky = String(repeating: "a", count: 252) + ".." + ".."
    #expect(name(tricky)?.hasSuffix("/%2E%2E") == false)
    let climbing = String(repeating: "a", count: 254) + ".."
    #expect(name(climbing)?.split(separator: "/").contains("..") == false)
  }

  @Test func bucketsMustBeNames() {
    for bucket in ["", ".", "..", "a/b", "a\0"] {
      #expect(throws: KeyPathError.bucketIsNoName) { try Pipeline.KeyPath.path(bucket: bucket, key: "k") }
    }
    #expect((try? Pipeline.KeyPath.path(bucket: ".downbeat", key: "k"))?.text == "%2Edownbeat/k")  // nil would fail the comparison
  }

  @Test func verbatimNamesAreTheKeyOrNothing() throws {
    #expect(try Pipeline.KeyPath.path(bucket: nil, key: "a%3a/b%2F", naming: .verbatim).text == "a%3a/b%2F")
    for key in ["", "a//b", "../x", "a/.", "/a", "a/", "a\0b", String(repeating: "x", count: 256)] {
      #expect(throws: KeyPathError.keyIsNoPath) { try Pipeline.KeyPath.path(bucket: nil, key: key, naming: .verbatim) }
    }
    #expect(throws: KeyPathError.keyIsReserved) {
      try Pipeline.KeyPath.path(bucket: nil, key: ".downbeat/x", naming: .verbatim)
    }
  }

  @Test func namesNobodyWroteAreNobodysCopies() {
    for path in [
      "a%2Bx", "%2B", "a%2B", "%41", "%2e", "a%2B/b", "a/%2F/b", "%00%00/x%2F%2F", "..", "a//b", "/a", "", "\u{fffd}%2E",
    ] {
      #expect(Pipeline.KeyPath.object(at: Array(path.utf8), hasBucket: false) == nil, "\(path)")
    }
    #expect(Pipeline.KeyPath.object(at: [0xff, 0xfe], hasBucket: false) == nil)
  }

  @Test func randomKeysComeBackAndNoTwoShareAName() throws {
    var random = SeededGenerator(seed: testSeed)
    let atoms = [
      "a", "b", "/", "//", ".", "..", "%", "%4", "%41", "%2F", "%2B", "%00", "%25", "\0", "ä", "𝄞", " ", ".downbeat", "%2E",
      "2", "F", "B", "0", String(repeating: "x", count: 120),
    ]
    var seen: [ObjectPath: String] = [:]
    for _ in 0..<8_000 {
      let key = (0..<Int.random(in: 0...12, using: &random)).map { _ in atoms.randomElement(using: &random)! }.joined()
      let isDisplaced = Bool.random(using: &random)
      let hasBucket = Bool.random(using: &random)
      let path = try Pipeline.KeyPath.path(bucket: hasBucket ? "bkt" : nil, key: key, isDisplaced: isDisplaced)
      for component in path.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
        let isName = (1...255).contains(component.count) && !component.contains(0) && component != [46] && component != [46, 46]
        #expect(isName, "seed \(testSeed): \(key.debugDescription) gives \(path.text.debugDescription)")
      }
      let back = Pipeline.KeyPath.object(at: path.bytes, hasBucket: hasBucket)
      #expect(back?.key == key && back?.isDisplaced == isDisplaced, "seed \(testSeed): \(key.debugDescription)")
      let identity = "\(hasBucket) \(isDisplaced) \(key)"
      if !hasBucket { #expect(seen.updateValue(identity, forKey: path) ?? identity == identity, "seed \(testSeed)") }
    }
  }
}
