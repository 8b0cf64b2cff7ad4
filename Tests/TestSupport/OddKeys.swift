/// Keys that something on the way may be tempted to change.
public enum OddKeys {
  public static let all: [String] = [
    "plain", "with space", " leading", "trailing ", "a+b", "100%", "%41", "%2F", "a%2fb", "c:d", "e&f=g", "h?i", "j#k", "l;m", "n'o\"p", "<q>",
    "back\\slash", "tab\there", "über/ß/日本語/🦉", "e\u{301}", "a//b", "a///", "dir/", ".hidden", "a/./b", "a/../b", "..a/b..", "prefix", "prefix/more",
    "~tilde*star(paren)!", "comma,dollar$at@", String(repeating: "k", count: 1_019), String(repeating: "ü", count: 500),
    String(repeating: "segment/", count: 120) + "end",
  ]
  /// Those that begin or end in a way that HTTP servers of tests do not pass on.
  public static let relative = ["./a", "../a", "/lead", "a/.", "a/..", ".", ".."]
}
