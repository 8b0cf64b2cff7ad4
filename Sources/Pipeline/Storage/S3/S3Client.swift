// Requests to one S3 service: signed, sent, answers judged. Whoever streams a body gets the exchange; everything else gets a
// small answer in memory. Nothing is retried here; a service of several endpoints goes on to the next when one cannot be reached.
//
// - Thread: one instance per worker and service, on the worker's executor.
internal import PipelineCore
internal import Reactor

/// An answer small enough for memory.
struct S3Answer {
  let head: ResponseHead
  let body: [UInt8]
}

public final class S3Client {
  /// Bytes of an answer kept in memory; only lists are longer. A server that answers with more has misunderstood the request.
  static let answerBytesMax = 256 * 1_024
  /// Bytes of an answer read only so that its connection can be used again.
  static let drainBytesMax = 65_536

  public let settings: S3Settings
  let side: StoreSide
  private let transport: any Transport
  private let signature: SignatureV4
  private let endpoints: [S3Endpoint]
  private(set) var endpointInUse = 0
  /// The second `time` was made for.
  private var second: Int64 = -1
  private var time = ""

  public init(settings: S3Settings, side: StoreSide, transport: any Transport) {
    self.settings = settings
    self.side = side
    self.transport = transport
    endpoints = settings.endpoints.map(S3Endpoint.init)
    signature = SignatureV4(credentials: settings.credentials, region: settings.region)
  }

  // MARK: Requests

  /// Starts a request; its answer, and errors of the connection, are for the caller to ask for.
  func begin(_ request: consuming S3Request) -> S3Exchange {
    let outgoing = request.outgoing(settings, endpoint: endpoints[endpointInUse], signature: signature, time: now())
    return S3Exchange(client: self, request: request, exchange: transport.begin(outgoing), endpoint: endpointInUse)
  }

  /// Sends a request and reads the whole answer.
  /// - Errors: any status of 300 and above, any error document, whatever the connection had.
  func perform(_ request: S3Request) async throws(StoreError) -> S3Answer {
    let exchange = begin(request)
    defer { exchange.cancel() }
    return try await exchange.answer()
  }

  private func now() -> String {
    let ms = WallClock.nowMs()
    if ms / 1_000 != second {
      second = ms / 1_000
      time = AmazonTime.basic(iso: ISO8601.string(ms: ms))
    }
    return time
  }

  /// The endpoint in use could not be reached, or answered that it cannot serve: the next attempt asks the next one.
  func moveOn(from failed: Int) {
    guard failed == endpointInUse else { return }
    endpointInUse = (endpointInUse + 1) % endpoints.count
  }
}

/// One request under way, its errors in the words of a store.
final class S3Exchange: TargetLook {
  private let client: S3Client
  private let request: S3Request
  private let exchange: any HTTPExchange
  private let endpoint: Int

  init(client: S3Client, request: S3Request, exchange: any HTTPExchange, endpoint: Int) {
    self.client = client
    self.request = request
    self.exchange = exchange
    self.endpoint = endpoint
  }

  /// What it is about, as it is called at the service.
  var key: String { request.key }

  func cancel() { exchange.cancel() }
  var hasBuffer: Bool { exchange.hasBuffer }

  func send(_ block: Block, _ range: Range<Int>) async throws(StoreError) -> Bool {
    do throws(TransportError) { return try await exchange.send(block, range) } catch { throw broken(error) }
  }

  func flush() async throws(StoreError) {
    do throws(TransportError) { try await exchange.flush() } catch { throw broken(error) }
  }

  func receive() async throws(StoreError) -> Block? {
    do throws(TransportError) { return try await exchange.receive() } catch { throw broken(error) }
  }

  /// The head of a good answer. - Errors: an answer that is none, with what its document says.
  func head() async throws(StoreError) -> ResponseHead {
    let head = try await anyHead()
    guard (200..<300).contains(head.status) else { throw refused(head, try await rest(max: S3Client.answerBytesMax)) }
    return head
  }

  /// The head and the body of a good answer.
  func answer() async throws(StoreError) -> S3Answer {
    let head = try await anyHead()
    let body = try await rest(max: request.answerBytesMax)
    guard (200..<300).contains(head.status) else { throw refused(head, body) }
    // Some operations begin to answer before they know how they will end.
    if let document = S3ErrorDocument(body) { throw error(document, head, isLate: true) }
    return S3Answer(head: head, body: body)
  }

  func anyHead() async throws(StoreError) -> ResponseHead {
    do throws(TransportError) { return try await exchange.response() } catch { throw broken(error) }
  }

  /// What is left of the body.
  func rest(max: Int) async throws(StoreError) -> [UInt8] {
    var bytes: [UInt8] = []
    while let block = try await receive() {
      guard bytes.count + block.count <= max else {
        exchange.cancel()
        throw StoreError(.refused(client.side), isRetryable: false, "\(request.name): an answer of more than \(max) bytes")
      }
      bytes += block.filled
    }
    return bytes
  }

  // MARK: Errors

  private func refused(_ head: ResponseHead, _ body: [UInt8]) -> StoreError {
    error(S3ErrorDocument(body) ?? S3ErrorDocument(code: "", message: ""), head, isLate: false)
  }

  private func error(_ document: S3ErrorDocument, _ head: ResponseHead, isLate: Bool) -> StoreError {
    let error = S3Failure.error(document, status: isLate ? nil : head.status, head, side: client.side, name: request.name)
    if error.isOutage { client.moveOn(from: endpoint) }
    return error
  }

  private func broken(_ error: TransportError) -> StoreError {
    client.moveOn(from: endpoint)
    return S3Failure.error(error, side: client.side, name: request.name)
  }
}
