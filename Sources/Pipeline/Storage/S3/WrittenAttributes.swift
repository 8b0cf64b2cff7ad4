// Attributes as the headers of a copy say them. Objects of one bucket mostly have the same ones, so the last are remembered.

struct WrittenAttributes {
  private var attributes = ObjectAttributes()
  private(set) var lines = HeaderLines()
  private(set) var shortHash = ObjectAttributes().shortHash

  mutating func become(_ attributes: ObjectAttributes) {
    guard attributes != self.attributes else { return }
    self.attributes = attributes
    lines = HeaderLines()
    attributes.write(to: &lines)
    shortHash = attributes.shortHash
  }
}
