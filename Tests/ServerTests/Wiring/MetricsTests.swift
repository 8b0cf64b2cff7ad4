// The Prometheus text, and the counts behind the metrics routes of a node without Redis.
import CLinux
import Glibc
import PipelineCore
import TestSupport
import Testing

@testable import Server

/// What is wrong with a text in format 0.0.4, as far as a scraper would mind.
struct PrometheusText {
  private(set) var problems: [String] = []

  init(_ text: String) {
    var types: [String: String] = [:]
    var seen: Set<Substring> = []
    var family = ""
    if !text.hasSuffix("\n") { problems.append("does not end with a newline") }
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("# TYPE ") {
        family = String(words[2])
        if types.updateValue(String(words[3]), forKey: family) != nil { problems.append("\(family) stands in two places") }
      } else if !line.hasPrefix("#") {
        let series = line.prefix { $0 != "{" && $0 != " " }
        let isPart = ["", "_bucket", "_sum", "_count"].contains { series == family + $0 }
        if !isPart { problems.append("\(series) below \(family)") }
        if series != family, types[family] != "histogram" { problems.append("\(series) is part of no histogram") }
        guard let space = line.lastIndex(of: " "), Double(line[line.index(after: space)...]) != nil else {
          problems.append("no value: \(line)")
          continue
        }
        if !seen.insert(line[..<space]).inserted { problems.append("twice: \(line)") }
      }
    }
  }
}

@Suite struct MetricsTests {
  @Test func aPageIsWhatAScraperReads() {
    var page = MetricsPage()
    page.family("a_total", .counter, "Things.")
    page.sample(3, [("name", "say \"hi\" \\ \n")])
    page.family("b_seconds", .histogram, "Times.")
    var times = Histogram(bounds: [100, 1_000])
    for ms: Int64 in [100, 2_400, 5_000] { times.add(ms) }
    page.histogram(times, MetricsPage.Bounds(times.bounds, unit: 1_000), MetricsPage.Labels([("x", "y")]))
    page.family("c", .gauge, "One.")
    page.reading(0.25, [])
    page.family("d", .gauge, "Many.")
    page.sample(0, MetricsPage.Labels([("x", "\\")]), "number", 0)
    page.sample(.max, MetricsPage.Labels([]), "number", 1_020)
    page.seconds(ms: 1_900_000_000_007, MetricsPage.Labels([("x", "y")]), "number", 3)
    page.reading(-1, MetricsPage.Labels([("x", "y")]).with("n", 12).with("z", "\""))
    let text = String(decoding: page.bytes, as: UTF8.self)
    #expect(
      text == """
        # HELP a_total Things.
        # TYPE a_total counter
        a_total{name="say \\"hi\\" \\\\ \\n"} 3
        # HELP b_seconds Times.
        # TYPE b_seconds histogram
        b_seconds_bucket{x="y",le="0.1"} 1
        b_seconds_bucket{x="y",le="1"} 1
        b_seconds_bucket{x="y",le="+Inf"} 3
        b_seconds_sum{x="y"} 7.5
        b_seconds_count{x="y"} 3
        # HELP c One.
        # TYPE c gauge
        c 0.25
        # HELP d Many.
        # TYPE d gauge
        d{x="\\\\",number="0"} 0
        d{number="1020"} 18446744073709551615
        d{x="y",number="3"} 1900000000.007
        d{x="y",n="12",z="\\""} -1

        """)
    #expect(PrometheusText(text).problems.isEmpty)
    #expect(PrometheusText("# TYPE a counter\nb 1\na x\n").problems.count == 3)
  }

  @Test func aPageOfChosenFamiliesHasNothingElse() {
    var page = MetricsPage(["a_total", "d", "nobody"])
    for name in ["a_total", "b", "c", "d"] {
      page.family(name, .gauge, "Things.")
      page.sample(1, [("x", "y")])
      page.sample(2, MetricsPage.Labels([]))
      page.sample(3, MetricsPage.Labels([]), "number", 1)
      page.reading(0.5, [("x", "z")])
      page.reading(-1, MetricsPage.Labels([("x", "-")]))
      page.seconds(ms: 1, MetricsPage.Labels([("x", "s")]), "number", 2)
      page.histogram(Histogram(bounds: [1]), MetricsPage.Bounds([1]), MetricsPage.Labels([("x", "h")]))
    }
    let text = String(decoding: page.bytes, as: UTF8.self)
    let lines = text.split(separator: "\n")
    #expect(lines.count == 2 * (2 + 6 + 4))
    let beginnings = ["a_total", "d", "# HELP a_total", "# HELP d", "# TYPE a_total", "# TYPE d"]
    #expect(lines.allSatisfy { line in beginnings.contains { line.hasPrefix($0) } })
    #expect(page.shows(anyOf: "a_") && !page.shows(anyOf: "b") && MetricsPage().shows(anyOf: "b"))
  }

  @Test func aDayOfIntervalsIsKeptAndRatesAreThoseOfFifteenMinutes() {
    let interval = IntervalCounts.intervalMs
    let start: Int64 = 1_900_000_000_000 / interval * interval
    var counts = IntervalCounts()
    // Backbeat's own example: 25, 0, 0, 25 operations, half of the newest interval gone.
    counts.add(ops: 25, bytes: 1_024, atMs: start)
    counts.add(ops: 25, bytes: 1_024, atMs: start + 3 * interval)
    let now = start + 3 * interval + interval / 2
    #expect(abs(counts.rates(nowMs: now).ops - 37.5 / 900) < 1e-9)
    #expect(counts.day(nowMs: now) == (50, 2_048))
    #expect(counts.day(nowMs: start + 86_400_000) == (25, 1_024))
    #expect(counts.day(nowMs: start + 2 * 86_400_000) == (0, 0))
    #expect(counts.rates(nowMs: start + 86_400_000).ops == 0)
    for index in 0..<1_000 { counts.add(ops: 1, bytes: 0, atMs: start + Int64(index) * interval) }
    #expect(counts.day(nowMs: start + 999 * interval).ops == 288)
  }
}
