// When a consumer that gets nothing is stalled, and when it is merely idle, full or new.
import PipelineCore
import Testing

@Suite struct FetchWatchTests {
  /// A watch that has looked twice without anything being taken.
  private func idle() -> FetchWatch {
    var watch = FetchWatch(stallMs: 30_000)
    let asks1 = watch.check(taken: 5, mayTake: true)
    #expect(!asks1, "the first look has nothing to compare with")
    let asks2 = watch.check(taken: 5, mayTake: true)
    #expect(asks2)
    return watch
  }

  @Test func aBacklogUntouchedForTheWholeTimeIsAStall() {
    var watch = idle()
    for ms in stride(from: Int64(0), to: 30_000, by: 10_000) {
      watch.answered(isBehind: true, taken: 5, nowMs: 1_000 + ms)
      #expect(!watch.isStalled)
    }
    watch.answered(isBehind: true, taken: 5, nowMs: 31_000)
    #expect(watch.isStalled)
  }

  @Test func takingOneEntryEndsIt() {
    var watch = idle()
    watch.answered(isBehind: true, taken: 5, nowMs: 0)
    watch.answered(isBehind: true, taken: 5, nowMs: 30_000)
    #expect(watch.isStalled)
    let asks3 = watch.check(taken: 6, mayTake: true)
    #expect(!asks3)
    #expect(!watch.isStalled)
    // And the time begins anew.
    let asks4 = watch.check(taken: 6, mayTake: true)
    #expect(asks4)
    watch.answered(isBehind: true, taken: 6, nowMs: 31_000)
    #expect(!watch.isStalled)
  }

  @Test func noRoomAndNoBacklogAreNoStall() {
    var watch = idle()
    watch.answered(isBehind: true, taken: 5, nowMs: 0)
    let asks5 = watch.check(taken: 5, mayTake: false)
    #expect(!asks5)
    watch.answered(isBehind: false, taken: 5, nowMs: 40_000)
    #expect(!watch.isStalled)
  }

  @Test func anAnswerFromBeforeAnEntryWasTakenSaysNothing() {
    var watch = idle()
    watch.answered(isBehind: true, taken: 5, nowMs: 0)
    let asks6 = watch.check(taken: 7, mayTake: true)
    #expect(!asks6)
    watch.answered(isBehind: true, taken: 5, nowMs: 60_000)
    #expect(!watch.isStalled)
  }
}
