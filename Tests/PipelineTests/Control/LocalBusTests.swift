import Pipeline
import Reactor
import TestSupport
import Testing

/// Remembers what a bus told, newest last.
final class RecordingBusObserver: ControlBusObserver {
  var messages: [String] = []
  var states: [ControlBusState] = []

  func controlBus(_ bus: any ControlBus, received payload: [UInt8], on channel: String) {
    messages.append("\(channel) \(String(decoding: payload, as: UTF8.self))")
  }
  func controlBus(_ bus: any ControlBus, became state: ControlBusState) { states.append(state) }
}

@Suite struct LocalBusTests {
  let reactor: Reactor
  let exchange = LocalExchange()
  let first: LocalBus
  let second: LocalBus
  let firstObserver = RecordingBusObserver()
  let secondObserver = RecordingBusObserver()

  init() throws {
    reactor = try Reactor()
    first = LocalBus(reactor: reactor, exchange: exchange)
    second = LocalBus(reactor: reactor, exchange: exchange)
    first.start(observer: firstObserver)
    second.start(observer: secondObserver)
  }

  private func publish(_ channel: String, _ text: String) -> Result<Int64, ControlBusError>? {
    var found: Result<Int64, ControlBusError>?
    first.publish(channel: channel, payload: bytes(text)) { found = $0 }
    #expect(found == nil, "never before the call has returned")
    #expect(reactor.runUntil { found != nil })
    return found
  }

  @Test func subscribersHearTheirChannelAndNoOther() {
    first.subscribe(.channel("t-a"))
    second.subscribe(.prefix("t-"))
    #expect(publish("t-a", "1") == .success(2))
    #expect(publish("t-b", "2") == .success(1))
    #expect(publish("u-a", "3") == .success(0))
    #expect(firstObserver.messages == ["t-a 1"])
    #expect(secondObserver.messages == ["t-a 1", "t-b 2"])
    second.unsubscribe(.prefix("t-"))
    #expect(publish("t-a", "4") == .success(1))
  }

  @Test func downAndUpAgainIsTold() {
    first.subscribe(.channel("c"))
    #expect(reactor.runUntil { firstObserver.states == [.ready] })
    exchange.isUp = false
    #expect(publish("c", "lost") == .failure(.unavailable("the exchange is down")))
    exchange.isUp = true
    #expect(publish("c", "heard") == .success(1))
    #expect(reactor.runUntil { firstObserver.states.last == .ready })
    #expect(firstObserver.messages == ["c heard"])
  }

  @Test func aLostMessageIsAcceptedAndNotDelivered() {
    first.subscribe(.channel("c"))
    exchange.messagesToLose = 1
    #expect(publish("c", "lost") == .success(0))
    #expect(publish("c", "heard") == .success(1))
    #expect(firstObserver.messages == ["c heard"])
  }
}
