// swift-tools-version: 6.2
import PackageDescription

// The rules every target is compiled under. Strict memory safety is on where no pointer is needed at all
// (`safeSwift`): there the compiler proves that the target holds none.
let strictSwift: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .treatAllWarnings(as: .error),
  // Generic types of one module (Inbox, InFlightTable) are specialised where another uses them: an Inbox push costs 20 ns
  // instead of 100 (Benchmarks, ReactorBenchmarks).
  // Exclusivity of access is checked at run time in debug builds, where all tests run; the checks cost a release build 4 to
  // 9 % of the pipeline's CPU time (perf, scenario pipeline).
  .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]
let safeSwift = strictSwift + [.strictMemorySafety()]

let package = Package(
  name: "downbeat",
  products: [
    .executable(name: "downbeat", targets: ["Server"]),
    .library(name: "DownbeatCore", targets: ["Reactor", "HTTP", "PipelineCore", "Pipeline"]),
    // For Benchmarks/, a package of its own.
    .library(name: "AllocationCounter", targets: ["AllocationCounter"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C libraries, each imported by one folder (kept by Tests/ServerTests/TidyTests).
    .systemLibrary(name: "CLinux", path: "Sources/Reactor/C/CLinux"),
    .systemLibrary(name: "CUring", path: "Sources/Reactor/C/CUring", providers: [.apt(["liburing-dev"])]),
    .systemLibrary(name: "CRdkafka", path: "Sources/Pipeline/Kafka/C/CRdkafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CHiredis", path: "Sources/Pipeline/Control/C/CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(name: "CZookeeper", path: "Sources/Pipeline/State/C/CZookeeper", providers: [.apt(["libzookeeper-mt-dev"])]),
    .systemLibrary(name: "CCurl", path: "Sources/Pipeline/Transport/C/CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "COpenSSL", path: "Sources/Pipeline/Storage/C/COpenSSL", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CDigest", path: "Sources/Pipeline/Storage/C/CDigest"),

    .target(name: "Reactor", dependencies: ["CLinux", "CUring"], exclude: ["C"], swiftSettings: strictSwift),
    .target(name: "HTTP", dependencies: ["Reactor", "CLinux"], swiftSettings: strictSwift),
    .target(name: "PipelineCore", path: "Sources/Pipeline/Core", swiftSettings: safeSwift),
    .target(
      name: "Pipeline",
      dependencies: [
        "PipelineCore", "Reactor", "CLinux", "CRdkafka", "CHiredis", "CZookeeper", "COpenSSL", "CDigest", "CCurl",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      exclude: ["Core", "Kafka/C", "Control/C", "State/C", "Storage/C", "Transport/C"],
      swiftSettings: strictSwift),
    .executableTarget(
      name: "Server",
      dependencies: [
        "CLinux", "Reactor", "HTTP", "PipelineCore", "Pipeline",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      resources: [
        .embedInCode("Dashboard/index.html"), .embedInCode("Dashboard/dashboard.css"), .embedInCode("Dashboard/dashboard.js"),
      ],
      swiftSettings: strictSwift),

    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    .target(name: "TestSupport", dependencies: ["AllocationCounter", "Reactor", "CLinux"], path: "Tests/TestSupport", swiftSettings: strictSwift),
    .testTarget(name: "ReactorTests", dependencies: ["CLinux", "Reactor", "TestSupport"], swiftSettings: strictSwift),
    .testTarget(name: "HTTPTests", dependencies: ["CLinux", "HTTP", "Reactor", "TestSupport"], swiftSettings: strictSwift),
    .testTarget(name: "PipelineCoreTests", dependencies: ["CLinux", "PipelineCore", "TestSupport"], swiftSettings: strictSwift),
    .testTarget(name: "Simulation", dependencies: ["CLinux", "PipelineCore", "TestSupport"], swiftSettings: strictSwift),
    .testTarget(name: "PipelineTests", dependencies: ["CLinux", "Pipeline", "PipelineCore", "Reactor", "TestSupport"], swiftSettings: strictSwift),
    .testTarget(
      name: "ServerTests", dependencies: ["CLinux", "Server", "HTTP", "Pipeline", "PipelineCore", "Reactor", "TestSupport"],
      exclude: ["Fixtures"],
      swiftSettings: strictSwift),
  ]
)
