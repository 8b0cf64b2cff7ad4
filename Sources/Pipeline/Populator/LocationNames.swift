// Names of quickstart's locations: the target's last path component, made unique, and kept out of the words the API
// gives a meaning of its own.

enum LocationNames {
  /// Longer names would not fit into an extended attribute's name together with what is added to them.
  static let bytesMax = 128
  /// `all` means every location; `failed` is a route.
  static let reserved: Set<String> = ["all", "failed"]

  /// One name per target, in their order: a second `b` becomes `b-2`, `all` becomes `all-2`.
  static func unique(_ components: [String]) -> [String] {
    var taken = reserved
    return components.map { component in
      let base = plain(component)
      var name = base
      var number = 2
      while !taken.insert(name).inserted {
        name = "\(base)-\(number)"
        number += 1
      }
      return name
    }
  }

  /// Sites are listed with commas and marked with colons in Backbeat's entries; control characters belong nowhere.
  private static func plain(_ component: String) -> String {
    var name = String.UnicodeScalarView()
    var bytes = 0
    for scalar in component.unicodeScalars {
      let isPlain = scalar.value >= 0x20 && scalar.value != 0x7F && scalar != "," && scalar != ":" && scalar != "/"
      let kept: Unicode.Scalar = isPlain ? scalar : "-"
      bytes += UTF8.width(kept)
      if bytes > bytesMax { break }
      name.append(kept)
    }
    return String(name)
  }
}
