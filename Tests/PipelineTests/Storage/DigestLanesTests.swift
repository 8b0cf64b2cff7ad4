// Digests of several objects side by side are those of each alone, whatever their lengths and however they are cut.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct DigestLanesTests {
  @Test func everyObjectHasTheDigestItWouldHaveAlone() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for round in 0..<12 {
      // From one alone to more than there are lanes.
      let objects = (0..<(1 + round)).map { index in
        patternBytes(Int.random(in: index % 3 == 0 ? 0...200 : 0...3_000, using: &random), seed: UInt64(index))
      }
      let pieceMax = [64, 128, 100, 1_000, 2_048].randomElement(using: &random)!
      let digests = try await onS3Worker { (reactor: Reactor) async throws in
        try await DigestRun(Digesting(reactor), objects, pieceMax, reactor.handle).run()
      }
      #expect(digests == objects.map(md5Hex), "seed \(seed), round \(round)")
    }
  }

  @Test func aDigestStartsAnewAndAnEmptyOneIsThatOfNothing() async throws {
    try await onS3Worker { (reactor: Reactor) async throws in
      let digesting = Digesting(reactor)
      let digest = digesting.lanes.begin()
      #expect(await digest.finish().hex == "d41d8cd98f00b204e9800998ecf8427e")
      let block = await digesting.pool.take()
      block.count = 3
      block.bytes.copyBytes(from: Array("abc".utf8))
      for _ in 0..<2 {
        await digest.add(block, 0..<3)
        #expect(await digest.finish().hex == "900150983cd24fb0d6963f7d28e17f72")
      }
    }
  }
}

/// What one worker has of it.
// Unchecked: used by one actor, on the reactor it was made on.
private final class Digesting: @unchecked Sendable {
  let lanes: DigestLanes
  let pool = BlockPool(blocksMax: 32)
  init(_ reactor: Reactor) { lanes = DigestLanes(reactor) }
}

private actor DigestRun {
  private let digesting: Digesting
  private let objects: [[UInt8]]
  private let pieceMax: Int
  private let handle: ReactorHandle
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  init(_ digesting: Digesting, _ objects: [[UInt8]], _ pieceMax: Int, _ handle: ReactorHandle) {
    self.digesting = digesting
    self.objects = objects
    self.pieceMax = pieceMax
    self.handle = handle
  }

  /// All at once.
  func run() async throws -> [String] {
    let executor = handle.executor
    return try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for index in objects.indices { group.addTask(executorPreference: executor) { await (index, self.one(index)) } }
      var all = [String](repeating: "", count: objects.count)
      for try await (index, hex) in group { all[index] = hex }
      return all
    }
  }

  private func one(_ index: Int) async -> String {
    let digest = digesting.lanes.begin()
    var rest = objects[index][...]
    while !rest.isEmpty {
      let block = await digesting.pool.take()
      block.count = min(pieceMax, rest.count)
      block.bytes.copyBytes(from: rest.prefix(block.count))
      rest = rest.dropFirst(block.count)
      await digest.add(block, 0..<block.count)
    }
    return await digest.finish().hex
  }
}
