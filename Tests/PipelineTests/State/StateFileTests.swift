import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private func content(_ json: String, _ number: Int64 = 3) -> StateFile.Content {
  StateFile.Content(
    entry: StoredEntry(json: Array(json.utf8), version: StateVersion(epoch: 1_795_423_000_123, number: number)),
    savedAtMs: 1_795_423_000_999)
}

private func put(_ text: String, in file: StateFile) {
  let fd = open(file.path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
  precondition(fd >= 0)
  _ = write(fd, text, text.utf8.count)
  close(fd)
}

@Suite struct StateFileTests {
  let directory = TemporaryDirectory()
  var file: StateFile { StateFile(directory: "\(directory.path)/a/b", name: "aws east") }

  @Test func whatIsWrittenIsReadBack() throws {
    #expect(try file.read() == nil)
    try file.write(content(#"{"paused":true,"other":[1,2]}"#))
    #expect(try file.read() == content(#"{"paused":true,"other":[1,2]}"#))
    try file.write(content("{}", 4))
    #expect(try file.read() == content("{}", 4))
    #expect(access(file.temporaryPath, F_OK) != 0)
  }

  /// A kill can leave the second file in any length; it is never read, and the next write starts it anew.
  @Test func remainsOfAnInterruptedWriteAreHarmless() throws {
    try file.write(content("{}"))
    let whole = StateFile.serialize(content(#"{"paused":true}"#, 4))
    for length in 0...whole.count {
      let fd = open(file.temporaryPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      _ = write(fd, whole, length)
      close(fd)
      #expect(try file.read() == content("{}"))
    }
    try file.write(content(#"{"paused":true}"#, 4))
    #expect(try file.read() == content(#"{"paused":true}"#, 4))
  }

  /// Cut off anywhere, the text is never taken for an entry of another content: either its header is gone, and then the JSON
  /// is unreadable, or the end of the line is.
  @Test func aTornFileIsNeverTakenForAState() throws {
    let whole = StateFile.serialize(content(#"{"paused":true}"#))
    for length in 0..<whole.count {
      let parsed = StateFile.parse(Array(whole[..<length]))
      #expect(parsed.entry.version == StateVersion(epoch: 0, number: 0), "length \(length)")
      #expect(parsed.entry.json == Array(whole[..<length]), "length \(length)")
    }
  }

  @Test func aFileMadeByHandIsVersionZero() throws {
    try file.write(content("{}"))
    put(#"{"paused":true}"#, in: file)
    #expect(try file.read()?.entry == StoredEntry(json: Array(#"{"paused":true}"#.utf8), version: .init(epoch: 0, number: 0)))
  }

  @Test func whatCannotBeReadSaysWhy() throws {
    try StateFile.makeDirectories(file.path)  // a directory where the file should be
    #expect { try file.read() } throws: { "\($0)".contains(file.path) }
  }

  @Test func anEndlessFileIsRefused() throws {
    try StateFile.makeDirectories(file.directory)
    put(String(repeating: "x", count: StateFile.bytesMax + 1), in: file)
    #expect(throws: Errno.self) { try file.read() }
  }
}

/// Steps: a child process writes version after version and says each number once its write has returned; it is killed at a
/// random moment; the file must then hold a whole entry, not older than the last number said.
@Suite struct StateFileKillTests {
  static let childVariable = "DOWNBEAT_TEST_STATE_FILE_CHILD"

  private static func json(_ number: Int64) -> String {
    #"{"paused":true,"n":\#(number),"filler":"\#(String(repeating: "x", count: Int(number * 37 % 6_000)))"}"#
  }

  @Test func child() throws {
    guard let directory = getenv(Self.childVariable) else { return }
    let file = StateFile(directory: String(cString: directory), name: "x")
    for number in Int64(1)... {
      try file.write(content(Self.json(number), number))
      var said = number
      guard write(3, &said, 8) == 8 else { return }
    }
  }

  @Test func aKillAtAnyMomentLeavesAWholeEntry() throws {
    guard getenv(Self.childVariable) == nil else { return }
    var random = SeededGenerator(seed: testSeed)
    for round in 0..<12 {
      let directory = TemporaryDirectory()
      var pipeEnds: [Int32] = [0, 0]
      try #require(pipe(&pipeEnds) == 0)
      for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      let pid = try spawnChild(directory.path, output: pipeEnds[1])
      close(pipeEnds[1])
      var last: Int64 = 0
      try #require(read(pipeEnds[0], &last, 8) == 8, "the child never wrote")
      // Any moment will do: nothing is being waited for.
      poll(nil, 0, Int32.random(in: 0..<30, using: &random))
      kill(pid, SIGKILL)
      var status: Int32 = 0
      waitpid(pid, &status, 0)
      // Not until the end of file: a server that another test started at the wrong moment may hold the other end.
      _ = fcntl(pipeEnds[0], F_SETFL, O_NONBLOCK)
      var said: Int64 = 0
      while read(pipeEnds[0], &said, 8) == 8 { last = said }
      close(pipeEnds[0])
      let found = try #require(try StateFile(directory: directory.path, name: "x").read())
      #expect(found.entry.version.number >= last, "seed \(testSeed) round \(round)")
      #expect(
        found == content(Self.json(found.entry.version.number), found.entry.version.number), "seed \(testSeed) round \(round)")
    }
  }

  private func spawnChild(_ directory: String, output: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, output, 3)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    let arguments = ["test", "--testing-library", "swift-testing", "--filter", "StateFileKillTests/child"]
    var argv = arguments.map { strdup($0) } + [nil]
    var environment = ["\(Self.childVariable)=\(directory)"]
    for name in ["PATH", "LD_LIBRARY_PATH"] {
      if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
    }
    var envp = environment.map { strdup($0) } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var pid: pid_t = 0
    try #require(posix_spawn(&pid, "/proc/self/exe", &actions, nil, &argv, &envp) == 0)
    return pid
  }
}
