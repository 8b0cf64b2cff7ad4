// One transfer of libcurl's: body blocks wait here to be taken by the peer, and received ones to be taken by the caller. When
// there is none, libcurl pauses that direction, and is told to go on when there is.
//
// Invariant: at most one task waits, for any change; each change wakes it and it looks again.
internal import CCurl
internal import DequeModule
internal import Reactor

final class CurlExchange: WaitingExchange {
  /// Blocks of a body given and not yet taken.
  static let blocksAheadMax = 2
  /// Full blocks received and not yet asked for, besides the one that is being filled.
  static let blocksBehindMax = 1
  /// Bytes of a response head.
  static let headBytesMax = 65_536

  private let transport: CurlTransport
  private let easy: UnsafeMutableRawPointer
  private var headerList: UnsafeMutablePointer<curl_slist>?
  /// For messages.
  let peer: String

  // Sending.
  private var outgoing = Deque<BodyPiece>()
  private var bytes: [UInt8] = []
  /// Of the first piece of `outgoing`, or of `bytes`.
  private var sentOfFirst = 0
  private var leftToSend: Int64 = 0
  private var isSendPaused = false

  // Receiving.
  private(set) var head: ResponseHead?
  private var headLines: [UInt8] = []
  private var statusLine = 0
  /// Why the answer is not taken.
  private var refusal: String?
  private var received = Deque<Block>()
  private var filling: Block?
  private var isReceivePaused = false

  private(set) var ending: Result<Void, TransportError>?
  var waiter: UnsafeContinuation<Void, Never>?
  var alarm: ExchangeAlarm?
  var reactor: Reactor { transport.reactor }
  private var stallClock = StallClock()

  init(_ transport: CurlTransport, _ easy: UnsafeMutableRawPointer, _ request: OutgoingRequest) {
    self.transport = transport
    self.easy = easy
    peer = request.origin.url
    switch request.body {
    case .none: break
    case .bytes(let bytes):
      self.bytes = bytes
      leftToSend = Int64(bytes.count)
    case .streamed(let length): leftToSend = length
    }
    headerList = CurlOptions.apply(request, transport.limits, to: easy, context: Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { curl_slist_free_all(headerList) }

  // MARK: Called by libcurl

  func received(headerLine line: UnsafeRawBufferPointer) -> Int {
    stallClock.didMove(line.count)
    if line.starts(with: "HTTP/".utf8) {
      // A further status line: what came before was provisional (100 Continue).
      statusLine = Int(db_easy_status(easy))
      headLines.removeAll(keepingCapacity: true)
    } else if line.count <= 2 {
      if statusLine >= 200, !setHead() { return 0 }
    } else if head == nil {
      guard headLines.count + line.count <= Self.headBytesMax else { return 0 }
      headLines += line
    }
    return line.count
  }

  /// - Returns: false for an answer that is refused; libcurl alone would let the chunks win.
  private func setHead() -> Bool {
    guard head == nil else { return true }  // trailers
    let head = ResponseHead(status: statusLine, lines: headLines)
    guard head["transfer-encoding"] == nil || head["content-length"] == nil else {
      refusal = "an answer in chunks that has a length as well"
      return false
    }
    self.head = head
    wake()
    return true
  }

  /// All of it or nothing: what is refused comes again.
  func received(body: UnsafeRawBufferPointer) -> Int {
    stallClock.didMove(body.count)
    let room = filling.map { $0.bytes.count - $0.count } ?? 0
    guard body.count > room else {
      append(body[...])
      return body.count
    }
    guard received.count < Self.blocksBehindMax || filling == nil, let next = transport.pool.takeIfFree() else {
      isReceivePaused = true
      wake()
      return db_write_pause
    }
    append(body[..<room])
    if let full = filling { received.append(full) }
    filling = next
    append(body[room...])
    wake()
    return body.count
  }

  private func append(_ bytes: Slice<UnsafeRawBufferPointer>) {
    guard let filling, !bytes.isEmpty else { return }
    filling.bytes[filling.count...].copyBytes(from: bytes)
    filling.count += bytes.count
  }

  func fill(_ room: UnsafeMutableRawBufferPointer) -> Int {
    let first = bytes.isEmpty ? outgoing.first?.range.count ?? 0 : bytes.count
    let count = min(room.count, first - sentOfFirst)
    guard count > 0 else {
      guard leftToSend > 0 else { return 0 }
      isSendPaused = true
      wake()
      return db_read_pause
    }
    if bytes.isEmpty {
      let start = outgoing[0].range.lowerBound + sentOfFirst
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: outgoing[0].block.filled[start..<(start + count)]))
    } else {
      room.copyBytes(from: bytes[sentOfFirst..<(sentOfFirst + count)])
    }
    sentOfFirst += count
    leftToSend -= Int64(count)
    stallClock.didMove(count)
    if sentOfFirst == first, bytes.isEmpty {
      outgoing.removeFirst()
      sentOfFirst = 0
      wake()
    }
    return count
  }

  // MARK: HTTPExchange

  func send(_ block: Block, _ range: Range<Int>) async throws(TransportError) -> Bool {
    precondition(!range.isEmpty && range.upperBound <= block.count)
    await wait { outgoing.count >= Self.blocksAheadMax && !isOverForSender }
    try throwIfFailed()
    guard !isOverForSender else { return false }
    outgoing.append(BodyPiece(block: block, range: range))
    resumeSending()
    return true
  }

  func flush() async throws(TransportError) {
    await wait { !outgoing.isEmpty && !isOverForSender }
    try throwIfFailed()
  }

  func response() async throws(TransportError) -> ResponseHead {
    try await waitForHead(of: peer)
  }

  var hasBuffer: Bool { filling != nil || !received.isEmpty || ending != nil || transport.pool.hasFree }

  func receive() async throws(TransportError) -> Block? {
    while true {
      if let block = received.popFirst() {
        resumeReceiving()
        return block
      }
      try throwIfFailed()
      if ending != nil { return filling.take() }
      if isReceivePaused {
        if let full = filling.take() {
          // More comes in while the caller is busy with this one, if there is a block to spare.
          filling = transport.pool.takeIfFree()
          if filling != nil { resumeReceiving() }
          return full
        }
        // Waits for the pool while this transfer holds no block at all.
        filling = await transport.pool.take()
        resumeReceiving()
      }
      await wait { received.isEmpty && ending == nil && !isReceivePaused }
    }
  }

  func cancel() {
    // Whoever has read the whole answer lets go of it in the same way.
    guard ending == nil else { return }
    finish(.failure(TransportError(.cancelled, "\(peer): cancelled")))
  }

  // MARK: Ends

  /// Once; the easy handle belongs to the transport again.
  func finish(_ result: Result<Void, TransportError>) {
    guard ending == nil else { return }
    ending = result
    outgoing.removeAll()
    transport.remove(easy)
    wake()
    disarm()
  }

  func error(_ code: CURLcode) -> TransportError {
    if let refusal { return TransportError(.broken, "\(peer): \(refusal)") }
    let text = String(cString: curl_easy_strerror(code))
    let number = db_easy_errno(easy)
    let detail = number == 0 ? text : "\(text) (\(Errno(Int32(number), "connect")))"
    return TransportError(CurlOptions.kind(code), "\(peer): \(detail)")
  }

  /// Asked once a second. Time in which the peer waits for us does not count.
  func isStalled(_ limits: TransportLimits) -> Bool {
    let isOurTurn = isReceivePaused || (isSendPaused && head == nil) || !received.isEmpty
    return stallClock.isStalled(limits, isOurTurn: isOurTurn)
  }

  // MARK: Waiting

  private func resumeSending() {
    guard isSendPaused, ending == nil else { return }
    isSendPaused = false
    unpause()
  }

  private func resumeReceiving() {
    guard isReceivePaused, ending == nil else { return }
    isReceivePaused = false
    unpause()
  }

  /// Delivers at once what libcurl kept back: callbacks run in here.
  private func unpause() {
    _ = curl_easy_pause(easy, (isSendPaused ? CURLPAUSE_SEND : 0) | (isReceivePaused ? CURLPAUSE_RECV : 0))
  }
}
