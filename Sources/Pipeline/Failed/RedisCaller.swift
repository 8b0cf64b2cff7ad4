// A connection to Redis for commands, kept up, with answers that can be awaited.
//
// - Thread: the reactor's it was made on.
internal import Reactor

final class RedisCaller {
  private let link: RedisLink
  private(set) var failure: String? = "not connected yet"
  /// Became usable (nil) or unusable, and why.
  var onChange: ((_ failure: String?) -> Void)?

  init(reactor: Reactor, settings: RedisSettings) {
    let calls = BlockingCalls(reactor: reactor, name: "redis-names")
    let locator = RedisLocator(reactor: reactor, settings: settings, calls: calls)
    link = RedisLink(reactor: reactor, purpose: .commands, settings: settings, locator: locator)
    link.onChange = { [weak self] failure in
      self?.failure = failure
      self?.onChange?(failure)
    }
  }

  func start() { link.start() }
  func stop() { link.stop() }

  func send(_ command: [[UInt8]], _ completion: @escaping (Result<RedisReply, ControlBusError>) -> Void) {
    link.send(command, completion)
  }

  /// Answers at once with an error while there is no connection.
  func call(_ command: [[UInt8]]) async throws(ControlBusError) -> RedisReply {
    let result = await withCheckedContinuation { done in link.send(command) { done.resume(returning: $0) } }
    return try result.get()
  }
}

extension RedisReply {
  /// An integer, also where it came as text.
  var number: Int64? {
    switch self {
    case .integer(let value): value
    case .null: nil
    case .status, .error, .bytes, .tooLong, .array: text.flatMap { Int64($0) ?? Double($0).map { Int64($0) } }
    }
  }
}
