// Finds the address to connect to: looks host names up (on the thread for blocking calls), and asks Sentinels for the master.
//
// A Sentinel that does not answer, refuses, or does not know the name is passed over; the next attempt begins with the one after
// the last that was tried, so a dead one does not cost its time-out at every reconnect.
internal import CHiredis
internal import CLinux
internal import Glibc
internal import Reactor

final class RedisLocator {
  /// For one Sentinel, from connecting to its answer.
  static let sentinelTimeMax = Duration.milliseconds(800)

  struct Failure: Error, Hashable, Sendable { var why: String }

  private let reactor: Reactor
  private let settings: RedisSettings
  private let calls: BlockingCalls
  private var firstSentinel = 0
  private var addressTurn = 0

  init(reactor: Reactor, settings: RedisSettings, calls: BlockingCalls) {
    self.reactor = reactor
    self.settings = settings
    self.calls = calls
  }

  /// Answers with a numeric address.
  func locate(_ completion: @escaping (Result<RedisEndpoint, Failure>) -> Void) {
    switch settings.place {
    case .server(let endpoint): resolve(endpoint, completion)
    case .sentinels(let sentinels, let name):
      ask(sentinels, name: name, tried: 0, failures: [], completion)
    }
  }

  // MARK: Sentinels

  private func ask(
    _ sentinels: [RedisEndpoint], name: String, tried: Int, failures: [String],
    _ completion: @escaping (Result<RedisEndpoint, Failure>) -> Void
  ) {
    guard tried < sentinels.count else {
      firstSentinel += 1
      return completion(.failure(Failure(why: "no Sentinel knows \(name): " + failures.joined(separator: "; "))))
    }
    let sentinel = sentinels[(firstSentinel + tried) % sentinels.count]
    ask(sentinel, name: name) { [self] result in
      switch result {
      case .success(let master):
        firstSentinel += tried
        resolve(master, completion)
      case .failure(let failure):
        ask(sentinels, name: name, tried: tried + 1, failures: failures + ["\(sentinel): \(failure.why)"], completion)
      }
    }
  }

  /// One Sentinel, one connection, one answer.
  private func ask(_ sentinel: RedisEndpoint, name: String, _ completion: @escaping (Result<RedisEndpoint, Failure>) -> Void) {
    resolve(sentinel) { [self] resolved in
      guard case .success(let address) = resolved else { return completion(resolved) }
      let connection = HiredisConnection(reactor: reactor)
      var answer: Result<RedisEndpoint, Failure>?
      let timer = reactor.schedule(after: Self.sentinelTimeMax) { _ in connection.close("no answer in time") }
      connection.onEnd = { [reactor] reason in
        reactor.cancel(timer)
        completion(answer ?? .failure(Failure(why: reason)))
      }
      connection.onConnect = { [settings] failure in
        guard failure == nil else { return }
        if !settings.sentinelPassword.isEmpty {
          _ = connection.send(redisCommand("AUTH", settings.sentinelPassword)) { reply in
            if let error = reply?.errorText { connection.close(error) }
          }
        }
        _ = connection.send(redisCommand("SENTINEL", "get-master-addr-by-name", name)) { reply in
          if let reply { answer = Self.master(reply) }
          connection.close("asked")
        }
      }
      if let why = connection.connect(address: address.host, port: address.port) {
        reactor.cancel(timer)
        connection.onEnd = nil
        completion(.failure(Failure(why: why)))
      }
    }
  }

  private static func master(_ reply: RedisReply) -> Result<RedisEndpoint, Failure> {
    if let error = reply.errorText { return .failure(Failure(why: error)) }
    guard let parts = reply.elements, parts.count == 2, let host = parts[0].text, let port = parts[1].text.flatMap({ Int($0) }),
      (1...65_535).contains(port)
    else { return .failure(Failure(why: "does not know the master")) }
    return .success(RedisEndpoint(host: host, port: port))
  }

  // MARK: Host names

  private func resolve(_ endpoint: RedisEndpoint, _ completion: @escaping (Result<RedisEndpoint, Failure>) -> Void) {
    if Self.isNumeric(endpoint.host) { return completion(.success(endpoint)) }
    let host = endpoint.host
    let accepted = calls.run(
      { Self.lookUp(host) },
      then: { [self] result in
        completion(
          result.map { addresses in
            addressTurn += 1  // another one of several at each attempt
            return RedisEndpoint(host: addresses[addressTurn % addresses.count], port: endpoint.port)
          })
      })
    if !accepted { completion(.failure(Failure(why: "no thread for looking up \(host)"))) }
  }

  static func isNumeric(_ host: String) -> Bool {
    var v4 = in_addr()
    var v6 = in6_addr()
    return inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1
  }

  /// - Blocking: for as long as the name server takes.
  private static func lookUp(_ host: String) -> Result<[String], Failure> {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0, let list else { return .failure(Failure(why: "\(host): \(String(cString: gai_strerror(code)))")) }
    defer { freeaddrinfo(list) }
    var found: [String] = []
    var next: UnsafeMutablePointer<addrinfo>? = list
    while let entry = next {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      if getnameinfo(entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if !found.contains(name) { found.append(name) }
      }
      next = entry.pointee.ai_next
    }
    return found.isEmpty ? .failure(Failure(why: "\(host): no address")) : .success(found)
  }
}

/// A command's arguments as Redis takes them.
func redisCommand(_ words: String...) -> [[UInt8]] { words.map { Array($0.utf8) } }
