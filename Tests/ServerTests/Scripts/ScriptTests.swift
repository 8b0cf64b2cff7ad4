// The scripts' checks of the machine, run with a PATH of prepared programs: what is missing is said, what is installed is
// what is missing, and nothing is installed where that is forbidden or impossible.

import CLinux
import Glibc
import TestSupport
import Testing

/// A PATH with a few real tools and whatever a test puts beside them.
private struct Machine {
  let directory = TemporaryDirectory()
  private var bin: String { directory.path + "/bin" }

  init(swift: String? = "6.3.1", packages: [String] = [], hasApt: Bool = true, uid: Int = 0, hasSudo: Bool = false) {
    mkdir(bin, 0o755)
    for tool in ["bash", "env", "sed", "head", "sort", "grep", "tr", "cat", "dirname", "rm"] {
      for place in ["/usr/bin/", "/bin/"] where access(place + tool, X_OK) == 0 { symlink(place + tool, bin + "/" + tool) }
    }
    if let swift { program("swift", "echo 'Swift version \(swift) (swift-\(swift)-RELEASE)'") }
    program("id", "echo \(uid)")
    if hasSudo { program("sudo", #"echo "sudo $*" >> "$LOG"; [ "$1" = -n ] && exit 0; exec "$@""#) }
    guard hasApt else { return }
    program("apt-get", #"echo "apt-get $*" >> "$LOG""#)
    let known = packages.joined(separator: "|")
    program("dpkg-query", #"case "$3" in \#(known.isEmpty ? "-" : known)) printf 'install ok installed' ;; *) exit 1 ;; esac"#)
  }

  private func program(_ name: String, _ body: String) {
    directory.write("bin/" + name, "#!/bin/bash\n\(body)\n")
    chmod(bin + "/" + name, 0o755)
  }

  /// Runs commands after sourcing the shared functions.
  func run(_ commands: String, environment: [String: String] = [:]) throws -> (code: Int32, output: String, log: String) {
    let log = directory.write("log", "")
    let script = "cd '\(Repository.root)' && set -euo pipefail && . scripts/lib/packages.sh && \(commands)"
    let child = try ChildProcess(
      "/bin/bash", ["-c", script, "scripts/x"],
      environment: ["PATH": bin, "LOG": log, "DOWNBEAT_NO_INSTALL": nil].merging(environment) { _, new in new },
      outputPath: directory.path + "/out")
    guard case .exited(let code) = child.wait() else { return (-1, child.output, "") }
    return (code, child.output, String(decoding: try readFile(log), as: UTF8.self))
  }
}

@Suite struct ScriptTests {
  @Test func aMissingToolchainIsSaidAtOnce() throws {
    let result = try Machine(swift: nil).run("require_swift")
    #expect(result.code == 1)
    #expect(result.output.hasPrefix("x: no swift in PATH."))
  }

  @Test(arguments: [("5.10", 1), ("6.0.3", 1), ("6.2", 0), ("6.3.1", 0), ("6.10", 0), ("7.0", 0)])
  func aToolchainThatIsTooOldIsSaid(version: String, code: Int32) throws {
    let result = try Machine(swift: version).run("require_swift")
    #expect(result.code == code)
    if code != 0 { #expect(result.output.contains("is too old: this package needs 6.2 or newer.")) }
  }

  @Test func rootInstallsWhatIsMissingAndNothingElse() throws {
    let result = try Machine(packages: ["a", "c"]).run("install_packages 'the tests need' a b c d")
    #expect(result.code == 0)
    #expect(result.output == "== installing what the tests need: b d\n")
    let lines = result.log.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.first?.hasPrefix("apt-get update") == true)
    #expect(lines.last?.hasSuffix(" b d") == true)
  }

  @Test func nothingMissingInstallsNothing() throws {
    let result = try Machine(packages: ["a"]).run("install_packages 'the tests need' a")
    #expect(result.code == 0)
    #expect(result.output.isEmpty && result.log.isEmpty)
  }

  @Test func aUserInstallsThroughSudo() throws {
    let result = try Machine(uid: 1000, hasSudo: true).run("install_packages 'x needs' a")
    #expect(result.code == 0)
    #expect(result.log.contains("sudo apt-get update"))
    #expect(result.log.contains("sudo env DEBIAN_FRONTEND=noninteractive apt-get install"))
  }

  @Test func aUserWithoutSudoIsToldWhatToInstall() throws {
    let result = try Machine(uid: 1000).run("install_packages 'x needs' a b")
    #expect(result.code == 1)
    #expect(result.output == "x: missing packages: a b  Install them as root: apt-get install a b\n")
    #expect(result.log.isEmpty)
  }

  @Test func installingCanBeForbidden() throws {
    let result = try Machine().run("install_packages 'x needs' a", environment: ["DOWNBEAT_NO_INSTALL": "1"])
    #expect(result.code == 1)
    #expect(result.output == "x: missing packages: a  (DOWNBEAT_NO_INSTALL=1 forbids installing them)\n")
    #expect(result.log.isEmpty)
  }

  @Test func anotherSystemIsToldWhatIsNeeded() throws {
    let result = try Machine(hasApt: false).run("install_packages 'x needs' liba libb")
    #expect(result.code == 1)
    #expect(result.output.hasPrefix("x: this is not Debian (no apt-get)."))
    #expect(result.output.hasSuffix(": liba libb\n"))
  }

  @Test func theLibrariesOfTheBuildComeFromThePackageFile() throws {
    let names = Set(try Machine().run("build_packages").output.split(separator: "\n").map(String.init))
    #expect(names.isSuperset(of: ["git", "librdkafka-dev", "libhiredis-dev", "libzookeeper-mt-dev", "liburing-dev"]))
  }

  @Test func aMissingSourceIsAUsageError() throws {
    let result = try Machine().run("scripts/quickstart /nonexistent/tree")
    #expect(result.code == 2)
    #expect(result.output == "quickstart: no such directory: /nonexistent/tree\n")
  }
}
