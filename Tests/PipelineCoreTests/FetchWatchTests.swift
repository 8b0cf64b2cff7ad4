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
      _ = watch.answered(isBehind: true, taken: 5, nowMs: 1_000 + ms)
      #expect(!watch.isStalled)
    }
    let isTime = watch.answered(isBehind: true, taken: 5, nowMs: 31_000)
    #expect(isTime && watch.isStalled)
    // And again after each further such time, once.
    let isTimeSoon = watch.answered(isBehind: true, taken: 5, nowMs: 60_000)
    let isTimeAgain = watch.answered(isBehind: true, taken: 5, nowMs: 61_000)
    let isTimeTwice = watch.answered(isBehind: true, taken: 5, nowMs: 61_500)
    #expect(!isTimeSoon && isTimeAgain && !isTimeTwice && watch.isStalled)
  }

  @Test func takingOneEntryEndsIt() {
    var watch = idle()
    _ = watch.answered(isBehind: true, taken: 5, nowMs: 0)
    _ = watch.answered(isBehind: true, taken: 5, nowMs: 30_000)
    #expect(watch.isStalled)
    let asks3 = watch.check(taken: 6, mayTake: true)
    #expect(!asks3)
    #expect(!watch.isStalled)
    // And the time begins anew.
    let asks4 = watch.check(taken: 6, mayTake: true)
    #expect(asks4)
    _ = watch.answered(isBehind: true, taken: 6, nowMs: 31_000)
    #expect(!watch.isStalled)
  }

  @Test func noRoomAndNoBacklogAreNoStall() {
    var watch = idle()
    _ = watch.answered(isBehind: true, taken: 5, nowMs: 0)
    let asks5 = watch.check(taken: 5, mayTake: false)
    #expect(!asks5)
    _ = watch.answered(isBehind: false, taken: 5, nowMs: 40_000)
    #expect(!watch.isStalled)
  }

  @Test func anAnswerFromBeforeAnEntryWasTakenSaysNothing() {
    var watch = idle()
    _ = watch.answered(isBehind: true, taken: 5, nowMs: 0)
    let asks6 = watch.check(taken: 7, mayTake: true)
    #expect(!asks6)
    _ = watch.answered(isBehind: true, taken: 5, nowMs: 60_000)
    #expect(!watch.isStalled)
  }
}
