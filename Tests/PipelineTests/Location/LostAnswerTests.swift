// Answers to commits that never come: librdkafka 2.0.2 loses some when a group's coordinator goes and moves. Here one is lost for
// certain: the book holds a commit that nobody was sent. What waits for it goes on when its bound is over.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct LostAnswerTests {
  /// No commit has this token.
  private static let lost = UInt64.max

  @Test func aCommitWhoseAnswerNeverComesIsSentAgain() throws {
    let bench = try LocationBench()
    try bench.produce((0..<20).map { entryText("k\($0)") })
    bench.location.commits.didSend(Self.lost)
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 20 })
    #expect(!bench.isAllCommitted(), "it did not wait for the answer")
    #expect(bench.runUntil { bench.isAllCommitted() }, "\(bench.lines.all)")
    #expect(bench.lines.contain("no answer to a commit, it is sent again"))
    #expect(!bench.location.commits.isAnswerMissing)
    bench.end()
  }

  @Test(arguments: PauseMode.allCases) func aPauseDoesNotWaitForItForEver(_ mode: PauseMode) throws {
    let bench = try LocationBench(mode: mode)
    try bench.produce((0..<20).map { entryText("k\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.isAllCommitted() && bench.location.counters.done == 20 })
    bench.location.commits.didSend(Self.lost)
    bench.paused(true, version: 1)
    bench.spin(500)
    #expect(bench.location.effective == .pausing)
    #expect(bench.runUntil { bench.location.effective == .disabled }, "\(bench.lines.all)")
    #expect(bench.lines.contain("no answer to a commit"))
    bench.paused(false, version: 2)
    try bench.produce((0..<20).map { entryText("l\($0)") })
    #expect(bench.runUntil { bench.location.counters.done == 40 }, "\(bench.location.counters)")
    #expect(bench.runUntil { bench.isAllCommitted() })
    #expect(bench.location.counters.done == 40, "something was repeated")
    bench.end()
  }

  /// An answer that comes after it was given up says nothing about what is pending.
  @Test func anAnswerThatWasGivenUpIsNotListenedTo() {
    var book = CommitBook()
    book.note(Partition(3), Offset(8))
    book.didSend(1)
    book.giveUpAnswers()
    let late = CommitResult(
      token: 1, error: nil, partitions: [CommittedPartition(partition: Partition(3), offset: Offset(8), error: nil)])
    var isOurs = book.answered(late)
    #expect(!isOurs)
    #expect(book.offsets.map(\.offset) == [Offset(8)] && !book.isAnswerMissing)
    book.didSend(2)
    let second = CommitResult(token: 2, error: nil, partitions: late.partitions)
    isOurs = book.answered(second)
    #expect(isOurs && book.isEmpty)
    isOurs = book.answered(second)
    #expect(!isOurs)
  }

  /// Entries that were delivered again took the offset back and forth: the broker is left with the second request's.
  @Test func anEarlierRequestsAnswerSaysNothingOfALaterOne() {
    var book = CommitBook()
    func answer(_ token: UInt64, _ offset: Offset) -> Bool {
      let partition = CommittedPartition(partition: Partition(3), offset: offset, error: nil)
      return book.answered(CommitResult(token: token, error: nil, partitions: [partition]))
    }
    book.note(Partition(3), Offset(39))
    book.didSend(1)
    book.note(Partition(3), Offset(38))
    book.didSend(2)
    book.note(Partition(3), Offset(39))
    #expect(answer(1, Offset(39)) && !book.isEmpty)
    #expect(answer(2, Offset(38)) && book.offsets.map(\.offset) == [Offset(39)] && !book.isAnswerMissing)
    book.didSend(3)
    #expect(answer(3, Offset(39)) && book.isEmpty)
  }
}
