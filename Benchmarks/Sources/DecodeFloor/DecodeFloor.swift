// Reading entries alone, as the worker of a no-op location does: every byte of both levels checked, order key and hash included.
// `perf/run.sh decode` runs it beside simdjson. `decode-floor FILE COUNT` prints the JSON of perf/baseline/decode.cpp.
internal import Glibc
internal import PipelineCore

private func cpuNanoseconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

private func read(_ path: String) -> [UInt8] {
  guard let file = fopen(path, "r") else { fatalError("\(path) cannot be opened") }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  let count = fread(&bytes, 1, bytes.count, file)
  return Array(bytes[..<count])
}

private func run(_ entry: [UInt8], _ count: Int, _ site: Site) -> UInt64 {
  var sum: UInt64 = 0
  for _ in 0..<count {
    guard case .replicate(let routing) = EntryDecoder.decodeRouting(entry.span, site: site) else { fatalError("not for this site") }
    sum &+= routing.orderKey &+ routing.dedupeHash &+ UInt64(routing.contentLength)
  }
  return sum
}

@main struct DecodeFloor {
  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, let count = Int(arguments[2]), count > 0 else { fatalError("usage: decode-floor FILE COUNT") }
    let entry = read(arguments[1])
    let site = Site("noop")
    var sum = run(entry, count / 10, site)  // warm
    let before = cpuNanoseconds()
    sum &+= run(entry, count, site)
    let ns = (cpuNanoseconds() - before) / Double(count)
    print(#"{"bytes":\#(entry.count),"count":\#(count),"ns":\#(ns),"sum":\#(sum)}"#)
  }
}
