// The rules of the house that a compiler does not check.
//
// Who may import whom (README, file map), which constructs are banned and why, which need their reason beside them, how long
// a file may be, and that nothing names the machine it was written on.

import Testing

@Suite struct TidyTests {
  /// Each folder and the modules of ours, and of C, that its files may import. The longest matching folder counts.
  private static let allowed: [(folder: String, modules: Set<String>)] = [
    ("Sources/Reactor", ["CLinux", "CUring"]),
    ("Sources/HTTP", ["Reactor", "CLinux"]),
    ("Sources/Pipeline/Core", []),
    ("Sources/Pipeline", ["PipelineCore", "Reactor", "CLinux"]),
    ("Sources/Pipeline/Kafka", ["PipelineCore", "Reactor", "CLinux", "CRdkafka"]),
    ("Sources/Pipeline/Control", ["PipelineCore", "Reactor", "CLinux", "CHiredis"]),
    ("Sources/Pipeline/State", ["PipelineCore", "Reactor", "CLinux", "CZookeeper"]),
    ("Sources/Pipeline/Storage", ["PipelineCore", "Reactor", "CLinux", "COpenSSL", "CDigest"]),
    ("Sources/Pipeline/Transport", ["PipelineCore", "Reactor", "CLinux", "CCurl"]),
    ("Sources/Server", ["Reactor", "HTTP", "PipelineCore", "Pipeline", "CLinux"]),
  ]
  private static let ours: Set<String> = [
    "Reactor", "HTTP", "PipelineCore", "Pipeline", "Server", "CLinux", "CUring", "CRdkafka", "CHiredis", "CZookeeper",
    "COpenSSL", "CDigest", "CCurl",
  ]
  /// Foundation is for the edges: it is large, allocates freely and pulls Dispatch in.
  private static let withoutFoundation = ["Sources/Reactor", "Sources/HTTP", "Sources/Pipeline"]

  @Test func importsFollowTheArrows() throws {
    for file in try Repository.files(under: ["Sources"], suffix: ".swift") {
      let rule = Self.allowed.filter { file.path.hasPrefix($0.folder + "/") }.max { $0.folder.count < $1.folder.count }
      guard let rule else {
        Issue.record("\(file): in no known folder")
        continue
      }
      for (module, line) in file.imports where Self.ours.contains(module) && !rule.modules.contains(module) {
        Issue.record("\(file):\(line): \(rule.folder) must not import \(module)")
      }
      for (module, line) in file.imports where module.hasPrefix("Foundation") {
        if Self.withoutFoundation.contains(where: { file.path.hasPrefix($0 + "/") }) {
          Issue.record("\(file):\(line): no Foundation here")
        }
      }
    }
  }

  @Test func theCoreImportsNothingAtAll() throws {
    for file in try Repository.files(under: ["Sources/Pipeline/Core"], suffix: ".swift") {
      for (module, line) in file.imports { Issue.record("\(file):\(line): imports \(module)") }
    }
  }

  /// What Glibc and another module both hold belongs to the one the compiler happened to read first, and a file that builds today
  /// would not when the next one is added. So every C module imports Glibc instead of holding a copy, and who imports Glibc imports
  /// CLinux as well, which passes on what Swift's own modules hold of it.
  @Test func whatGlibcDeclaresIsFoundInEveryOrderOfFiles() throws {
    for file in try Repository.files(under: ["Sources"], suffix: "shim.h") {
      let first = file.lines.first { $0.hasPrefix("#include") || $0.hasPrefix("#pragma") }
      #expect(first == "#pragma clang module import SwiftGlibc", "\(file)")
    }
    for file in try Repository.files(under: ["Sources", "Tests"], suffix: ".swift") {
      let modules = Set(file.imports.map(\.0))
      if modules.contains("Glibc"), !modules.contains("CLinux") { Issue.record("\(file): imports Glibc without CLinux") }
    }
  }

  @Test func bannedConstructsAreAbsent() throws {
    // Written in two halves, so that this file does not hold them.
    let banned: [(text: String, why: String)] = [
      ("TO" + "DO", "finish it or leave it out"), ("FIX" + "ME", "fix it"),
      ("Task." + "sleep", "starts threads: use the reactor's timers"), ("import " + "Dispatch", "no Dispatch threads"),
      ("Dispatch" + "Queue", "no Dispatch threads"), ("@Main" + "Actor", "there is no main loop"),
      ("u" + "sleep(", "wait for a condition or a timer"), ("Thread." + "sleep", "wait for a condition or a timer"),
    ]
    for file in try Repository.files(under: ["Sources", "Tests", "Benchmarks"], suffix: ".swift") {
      for (index, line) in file.lines.enumerated() {
        for (text, why) in banned where line.contains(text) { Issue.record("\(file):\(index + 1): \(text): \(why)") }
      }
    }
  }

  @Test func riskyConstructsSayWhy() throws {
    let risky = ["try" + "?", "try" + "!", "as" + "!", "nonisolated" + "(unsafe)", "@unchecked " + "Sendable"]
    for file in try Repository.files(under: ["Sources", "Tests"], suffix: ".swift") {
      for index in file.lines.indices {
        for text in risky where file.code(index).containsWord(text) && !file.hasComment(index) {
          Issue.record("\(file):\(index + 1): \(text) without its reason on the line or above it")
        }
      }
    }
  }

  @Test func filesAreShort() throws {
    for file in try Repository.files(under: ["Sources", "Tests"], suffix: ".swift") where file.lines.count - 1 > 400 {
      Issue.record("\(file): \(file.lines.count - 1) lines, at most 400: which responsibility leaves?")
    }
  }

  @Test func sourceFilesSayWhatTheyAreFor() throws {
    for file in try Repository.files(under: ["Sources"], suffix: ".swift") where file.lines.first?.hasPrefix("//") != true {
      Issue.record("\(file): begins without a comment on what it is for")
    }
  }

  @Test func nothingNamesTheMachineItWasWrittenOn() throws {
    let places = ["/wo" + "rk/", "/ro" + "ot/", "/opt/" + "swift", "bash_" + "jobs"]
    let files = try Repository.files(under: [
      "Sources", "Tests", "Benchmarks", "perf", "scripts", "packaging", ".ci", "README.md", "Package.swift",
    ])
    for file in files {
      for (index, line) in file.lines.enumerated() {
        for place in places where line.contains(place) { Issue.record("\(file):\(index + 1): names \(place)") }
      }
    }
  }
}
