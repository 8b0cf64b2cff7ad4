// swift-tools-version: 6.2
import PackageDescription

// Micro-benchmarks of the hot functions, in a package of their own so that the product does not depend on the library.
// `traits: []`: its own malloc and retain interposers need packages of their own; allocations are counted by ours
// (Tests/AllocationCounter), which is exact.
let benchmark: Target.Dependency = .product(name: "Benchmark", package: "benchmark")
let counter: Target.Dependency = .product(name: "AllocationCounter", package: "main")
let core: Target.Dependency = .product(name: "DownbeatCore", package: "main")

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")

func suite(_ name: String) -> Target {
  .executableTarget(
    name: name, dependencies: [benchmark, core, "BenchmarkSupport"], path: "Benchmarks/\(name)",
    plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
}

let package = Package(
  name: "downbeat-benchmarks",
  dependencies: [
    .package(name: "main", path: ".."),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    .package(url: "https://github.com/ordo-one/benchmark", exact: "1.38.1", traits: []),
  ],
  targets: [
    .target(name: "BenchmarkSupport", dependencies: [benchmark, counter], path: "Benchmarks/BenchmarkSupport"),
    .executableTarget(name: "http-floor", dependencies: [core], path: "Sources/HTTPFloor"),
    .executableTarget(name: "consumer-floor", dependencies: [core], path: "Sources/ConsumerFloor"),
    .executableTarget(name: "decode-floor", dependencies: [core], path: "Sources/DecodeFloor"),
    .executableTarget(name: "pipeline-floor", dependencies: [core, log], path: "Sources/PipelineFloor"),
    .executableTarget(
      name: "latency-summary", dependencies: [.product(name: "Histogram", package: "hdrhistogram-swift")],
      path: "Sources/LatencySummary"),
    suite("ReactorBenchmarks"),
    suite("CoreBenchmarks"),
    suite("HTTPBenchmarks"),
  ]
)
