// A Prometheus page, taken apart: families with their types, samples with their labels.
import TestSupport
import Testing

struct Scrape {
  struct Sample {
    let labels: [String: String]
    let value: Double
  }

  let text: String
  /// By family.
  private(set) var types: [String: String] = [:]
  /// By series: a histogram has three.
  private(set) var samples: [String: [Sample]] = [:]

  init(_ text: String) {
    self.text = text
    for line in text.split(separator: "\n") {
      if line.hasPrefix("# TYPE ") {
        let words = line.split(separator: " ")
        types[String(words[2])] = String(words[3])
      } else if !line.hasPrefix("#"), let space = line.lastIndex(of: " ") {
        let series = line[..<space]
        let name = String(series.prefix { $0 != "{" })
        let value = Double(line[line.index(after: space)...]) ?? .nan
        samples[name, default: []].append(Sample(labels: Self.labels(series.dropFirst(name.count)), value: value))
      }
    }
  }

  /// Values of the tests hold no quotes.
  private static func labels(_ text: Substring) -> [String: String] {
    var labels: [String: String] = [:]
    for match in text.matches(of: #/([A-Za-z_]+)="([^"]*)"/#) { labels[String(match.1)] = String(match.2) }
    return labels
  }

  /// The sum over all samples that have these labels.
  func sum(_ name: String, _ labels: [String: String] = [:]) -> Double {
    (samples[name] ?? []).filter { sample in labels.allSatisfy { sample.labels[$0.key] == $0.value } }.reduce(0) { $0 + $1.value }
  }

  /// Upper bounds as written, in order, of each histogram of the family.
  func bounds(_ name: String) -> [[String]] {
    var all: [[String: String]: [String]] = [:]
    for sample in samples[name + "_bucket"] ?? [] {
      var labels = sample.labels
      let bound = labels.removeValue(forKey: "le") ?? ""
      all[labels, default: []].append(bound)
    }
    return Array(all.values)
  }
}
