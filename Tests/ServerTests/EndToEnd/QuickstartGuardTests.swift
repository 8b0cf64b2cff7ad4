// What quickstart refuses, and with which exit code (product contract section 2): 2 before it does anything, 1 while running.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct QuickstartGuardTests {
  private func expectRefused(_ result: (code: Int32, output: String), naming words: String..., code: Int32 = 2) {
    #expect(result.code == code, "\(result.output)")
    for word in words { #expect(result.output.contains(word), "the message names \(word): \(result.output)") }
  }

  @Test func nestedTreesAreRefusedAlsoThroughLinks() throws {
    let bench = try QuickstartBench()
    _ = mkdir("\(bench.source)/inner", 0o755)
    expectRefused(try bench.run(targets: ["\(bench.source)/inner"]), naming: "\(bench.source)/inner")
    symlink("\(bench.source)/inner", "\(bench.directory.path)/alias")
    expectRefused(try bench.run(targets: ["\(bench.directory.path)/alias"]), naming: "alias")
    expectRefused(try bench.run(targets: [bench.targets[0], bench.targets[0]]), naming: "east")
    expectRefused(try bench.run(targets: [bench.directory.path]), naming: bench.directory.path)
  }

  @Test func aMissingSourceIsRefused() throws {
    let bench = try QuickstartBench()
    rmdir(bench.source)
    expectRefused(try bench.run(), naming: bench.source)
  }

  @Test func aTargetOfAnotherSourceIsRefusedUnlessForced() throws {
    let bench = try QuickstartBench()
    try writeFile("\(bench.source)/a", "a")
    #expect(try bench.run().code == 0)
    _ = mkdir("\(bench.directory.path)/other", 0o755)
    rename(bench.source, "\(bench.directory.path)/moved")
    rename("\(bench.directory.path)/other", bench.source)
    // Same path again, so the marker must know more than the name only if it can; a different path must be refused.
    let process = try ChildProcess(
      try downbeatBinary(), ["quickstart", "\(bench.directory.path)/moved"] + bench.targets + ["--once", "--port", "\(bench.port)"],
      outputPath: "\(bench.directory.path)/out")
    #expect(process.wait() == .exited(2), "\(process.output)")
    #expect(process.output.contains("--force"), "\(process.output)")
  }

  @Test func anUnmarkedTargetThatIsNotEmptyIsRefusedUnlessForced() throws {
    let bench = try QuickstartBench()
    try writeFile("\(bench.source)/a", "a")
    try writeFile("\(bench.targets[0])/mine", "mine")
    expectRefused(try bench.run(), naming: bench.targets[0], "--force")
    #expect(try Tree.names(in: bench.targets[1]).isEmpty, "nothing was touched")
    #expect(try bench.run(["--once", "--force"]).code == 0)
    #expect(try readFile("\(bench.targets[0])/mine") == Array("mine".utf8), "a foreign file stays")
  }

  @Test func anOccupiedFileFailsUnlessItsBytesAreEqual() throws {
    let bench = try QuickstartBench()
    try writeFile("\(bench.source)/same", "same bytes")
    try writeFile("\(bench.source)/other", "source bytes")
    #expect(try bench.run().code == 0)
    for name in ["late-same", "late-other"] { try writeFile("\(bench.targets[0])/\(name)", "foreign") }
    try writeFile("\(bench.source)/late-same", "foreign")
    try writeFile("\(bench.source)/late-other", "source")
    let (code, output) = try bench.run()
    #expect(code == 1, "\(output)")
    #expect(output.contains("TargetOccupied"), "\(output)")
    #expect(try readFile("\(bench.targets[0])/late-other") == Array("foreign".utf8))
    #expect(try readFile("\(bench.targets[1])/late-other") == Array("source".utf8), "the other target has it")
    let forced = try bench.run(["--once", "--force"])
    #expect(forced.code == 0, "\(forced.output)")
    #expect(try readFile("\(bench.targets[0])/late-other") == Array("source".utf8), "--force overwrites")
  }

  @Test func aCopyChangedBySomeoneFailsUnlessForced() throws {
    let bench = try QuickstartBench()
    try writeFile("\(bench.source)/a", "first")
    #expect(try bench.run().code == 0)
    try writeFile("\(bench.targets[0])/a", "edited at the target")
    try writeFile("\(bench.source)/a", "second version")
    let (code, output) = try bench.run()
    #expect(code == 1, "\(output)")
    #expect(output.contains("TargetChanged"), "\(output)")
    #expect(try readFile("\(bench.targets[0])/a") == Array("edited at the target".utf8))
    #expect(try bench.run(["--once", "--force"]).code == 0)
    #expect(try readFile("\(bench.targets[0])/a") == Array("second version".utf8))
  }

  @Test func badFilesFailByNameAndTheRestGoesOn() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 100, seed: 21)
    let odd = "\(bench.source)/".utf8CString.dropLast() + [CChar(bitPattern: 0xff), CChar(bitPattern: 0xfe), 0]
    let fd = Array(odd).withUnsafeBufferPointer { open($0.baseAddress!, O_CREAT | O_WRONLY, 0o644) }
    #expect(fd >= 0)
    close(fd)
    let (code, output) = try bench.run()
    #expect(code == 1, "\(output)")
    #expect(output.contains("KeyNotUTF8"), "\(output)")
    #expect(try bench.copiedCount(0) == 100)
  }

  @Test func aPortInUseIsNamedAndExitsOne() throws {
    let bench = try QuickstartBench()
    try writeFile("\(bench.source)/a", "a")
    let first = try bench.start([])
    try bench.waitUntilReady(first)
    let others = ["\(bench.directory.path)/third"]
    _ = mkdir(others[0], 0o755)
    let second = try bench.run(targets: others)
    expectRefused(second, naming: "\(bench.port)", code: 1)
    first.signal(SIGTERM)
    #expect(first.wait() == .exited(0))
  }

  @Test func wrongFlagsExitTwo() throws {
    let bench = try QuickstartBench()
    expectRefused(try bench.run(["--no-such-flag"]), naming: "--no-such-flag")
    expectRefused(try bench.run(["--port", "99999"]), naming: "--port")
  }

  @Test func aFullDiskFailsByNameAndTheOtherLocationCompletes() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 50, seed: 22)
    try writeFile("\(bench.source)/large", [UInt8](repeating: 7, count: 3_000_000))
    guard mount("tmpfs", bench.targets[0], "tmpfs", 0, "size=1m") == 0 else {
      print("not shown here: mounting a tmpfs was refused (\(Errno.last("mount")))")
      return
    }
    defer { umount2(bench.targets[0], Int32(MNT_DETACH)) }
    let (code, output) = try bench.run()
    #expect(code == 1, "\(output)")
    #expect(output.contains("TargetFull"), "\(output)")
    let (expected, _) = try Tree.read(bench.source)
    #expect(try Tree.read(bench.targets[1], ignoring: [".downbeat"]).tree == expected)
  }

  /// RLIMIT_FSIZE, whose signal would end the process.
  @Test func aLimitOfFileSizeFailsByNameAndTheRestCompletes() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 20, seed: 23)
    try writeFile("\(bench.source)/large", [UInt8](repeating: 7, count: 9_000_000))
    let process = try ChildProcess(
      "/bin/sh",
      ["-c", "ulimit -f 8000; exec \"$0\" \"$@\"", try downbeatBinary(), "quickstart", bench.source] + bench.targets
        + ["--port", "\(bench.port)", "--once"],
      outputPath: "\(bench.directory.path)/limited")
    #expect(process.wait(within: .seconds(120)) == .exited(1), "\(process.output)")
    #expect(process.output.contains("FileTooLarge: "), "\(process.output)")
    for target in 0...1 { #expect(try bench.copiedCount(target) == 20) }
    _ = try bench.run()
    try bench.expectIdentical("without the limit")
  }
}
