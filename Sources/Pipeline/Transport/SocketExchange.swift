// One request and its answer on a connection of ours: body blocks wait here to be sent, and received ones to be taken by the
// caller. When there is no room the connection is not read, so the peer waits.
//
// Invariant: at most one task waits, for any change; each change wakes it and it looks again. Of a body that is given block by
// block nothing is sent twice, unless it is one block that was kept until the first byte of the answer.
internal import CLinux
internal import DequeModule
internal import Glibc
internal import Reactor

final class SocketExchange: WaitingExchange {
  /// Blocks of a body given and not yet taken by the kernel.
  static let blocksAheadMax = 2
  /// Blocks received and not yet asked for, with the one that is being filled.
  static let blocksHeldMax = 2

  /// Where received bytes go.
  enum Room {
    /// It is not known yet what they are.
    case scratch
    /// Into this memory; `isRest`: the body ends within it.
    case block(UnsafeMutableRawBufferPointer, isRest: Bool)
    case none
  }

  let origin: HTTPOrigin
  /// Nil before the first byte is to be sent, and after the end.
  var connection: SocketConnection?
  /// In the transport's list; kept by it.
  var slot = -1
  private let transport: SocketTransport

  // Sending.
  /// The head, and a body that was given with the request.
  private let prefix: [UInt8]
  private let length: Int64
  private var sentOfPrefix = 0
  private var outgoing = Deque<BodyPiece>()
  private var sentOfFirst = 0
  /// Of a streamed body.
  private var leftToSend: Int64
  /// A body of one block, until the answer begins.
  private var kept: BodyPiece?
  private var isStarted = false
  private var isRewound = false

  // Receiving.
  private let method: String
  private var reader: ResponseReader
  private var received = Deque<Block>()
  private var filling: Block?
  private var isReceivePaused = false

  private(set) var ending: Result<Void, TransportError>?
  var waiter: UnsafeContinuation<Void, Never>?
  var alarm: ExchangeAlarm?
  var reactor: Reactor { transport.reactor }
  var head: ResponseHead? { reader.head }
  private var stallClock = StallClock()

  init(_ transport: SocketTransport, _ request: OutgoingRequest) {
    self.transport = transport
    origin = request.origin
    method = request.method
    prefix = RequestHead.bytes(request)
    reader = ResponseReader(method: request.method)
    length = if case .streamed(let length) = request.body { length } else { 0 }
    leftToSend = length
  }

  /// Sends what there is to send. A body that is given later begins with its first block, in one call with the head.
  func start() {
    guard !isStarted, ending == nil else { return }
    isStarted = true
    transport.assign(self)
    // Small requests made one after the other leave together, so that their server is woken once for them.
    if isStreamed { connection?.write() } else { connection?.takeTurn() }
  }

  var isStreamed: Bool { length > 0 }

  // MARK: Called by the connection: sending

  var wantsToSend: Bool { head == nil && (sentOfPrefix < prefix.count || !outgoing.isEmpty) }
  /// Every byte of the request.
  var isSent: Bool { sentOfPrefix == prefix.count && leftToSend == 0 }

  /// One call to the kernel. - Returns: how much there was, and what the call answered.
  func send(to fd: Int32) -> (asked: Int, sent: Int) {
    prefix.withUnsafeBytes { prefix in
      withUnsafeTemporaryAllocation(of: iovec.self, capacity: 1 + Self.blocksAheadMax) { vectors in
        var (count, asked) = (0, 0)
        func add(_ bytes: UnsafeRawBufferPointer.SubSequence) {
          guard !bytes.isEmpty else { return }
          let base = UnsafeMutableRawPointer(mutating: UnsafeRawBufferPointer(rebasing: bytes).baseAddress)
          vectors[count] = iovec(iov_base: base, iov_len: bytes.count)
          count += 1
          asked += bytes.count
        }
        add(prefix[sentOfPrefix...])
        var skipped = sentOfFirst
        for piece in outgoing.prefix(Self.blocksAheadMax) {
          add(piece.block.filled[(piece.range.lowerBound + skipped)..<piece.range.upperBound])
          skipped = 0
        }
        var message = msghdr()
        message.msg_iov = vectors.baseAddress
        message.msg_iovlen = count
        return (asked, sendmsg(fd, &message, Int32(MSG_NOSIGNAL)))
      }
    }
  }

  func didSend(_ count: Int) {
    stallClock.didMove(count)
    let ofPrefix = min(count, prefix.count - sentOfPrefix)
    sentOfPrefix += ofPrefix
    var ofBody = count - ofPrefix
    leftToSend -= Int64(ofBody)
    while ofBody > 0, let first = outgoing.first {
      let left = first.range.count - sentOfFirst
      guard ofBody >= left else {
        sentOfFirst += ofBody
        return
      }
      ofBody -= left
      sentOfFirst = 0
      outgoing.removeFirst()
      wake()
    }
  }

  /// Makes the request ready to be sent again, if it can be. - Returns: false if it cannot.
  func rewind() -> Bool {
    guard !isRewound, !reader.hasBegun, leftToSend == length || kept != nil else { return false }
    isRewound = true
    sentOfPrefix = 0
    sentOfFirst = 0
    if let kept {
      outgoing = [kept]
      leftToSend = length
    }
    return true
  }

  // MARK: Called by the connection: receiving

  var isAnswered: Bool { reader.state == .done }
  var keepsConnection: Bool { reader.keepsAlive }

  func room() -> Room {
    guard case .length(let left) = reader.state else { return .scratch }
    guard let room = blockRoom() else { return .none }
    guard Int64(room.count) >= left else { return .block(room, isRest: false) }
    return .block(UnsafeMutableRawBufferPointer(rebasing: room[..<Int(left)]), isRest: true)
  }

  func received(inRoom count: Int) {
    stallClock.didMove(count)
    reader.took(count)
    filled(count)
  }

  /// - Returns: how much was taken; the rest comes again when there is room.
  func received(_ bytes: UnsafeRawBufferPointer) throws(MalformedResponse) -> Int {
    kept = nil
    let hadHead = head != nil
    let taken = try reader.read(bytes) { append($0) }
    stallClock.didMove(taken)
    if !hadHead, head != nil { wake() }
    return taken
  }

  func ended() throws(MalformedResponse) { try reader.ended() }

  private func append(_ bytes: UnsafeRawBufferPointer) -> Int {
    var taken = 0
    while taken < bytes.count, let room = blockRoom() {
      let count = min(room.count, bytes.count - taken)
      room.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[taken..<(taken + count)]))
      filled(count)
      taken += count
    }
    return taken
  }

  /// Room in the block that is being filled, or in a new one; nil: there is none, and the connection pauses.
  private func blockRoom() -> UnsafeMutableRawBufferPointer? {
    if filling == nil {
      guard received.count < Self.blocksHeldMax, let next = transport.pool.takeIfFree() else {
        isReceivePaused = true
        wake()
        return nil
      }
      filling = next
    }
    return filling.map { UnsafeMutableRawBufferPointer(rebasing: $0.bytes[$0.count...]) }
  }

  private func filled(_ count: Int) {
    guard let block = filling else { return }
    block.count += count
    guard block.count == block.bytes.count else { return }
    received.append(block)
    filling = nil
    wake()
  }

  // MARK: HTTPExchange

  func send(_ block: Block, _ range: Range<Int>) async throws(TransportError) -> Bool {
    precondition(!range.isEmpty && range.upperBound <= block.count)
    await wait { outgoing.count >= Self.blocksAheadMax && !isOverForSender }
    try throwIfFailed()
    guard !isOverForSender else { return false }
    let piece = BodyPiece(block: block, range: range)
    outgoing.append(piece)
    if Int64(range.count) == length { kept = piece }
    if isStarted { connection?.write() } else { start() }
    return true
  }

  func flush() async throws(TransportError) {
    await wait { !outgoing.isEmpty && !isOverForSender }
    try throwIfFailed()
  }

  func response() async throws(TransportError) -> ResponseHead {
    start()
    return try await waitForHead(of: "\(origin)")
  }

  var hasBuffer: Bool { filling != nil || !received.isEmpty || ending != nil || transport.pool.hasFree }

  func receive() async throws(TransportError) -> Block? {
    start()
    while true {
      if let block = received.popFirst() {
        resumeReceiving()
        return block
      }
      try throwIfFailed()
      if ending != nil { return filling.take() }
      if isReceivePaused {
        // Waits for the pool while this transfer holds no block at all.
        if filling == nil { filling = await transport.pool.take() }
        resumeReceiving()
      }
      await wait { received.isEmpty && ending == nil && !isReceivePaused }
    }
  }

  func cancel() {
    // Whoever has read the whole answer lets go of it in the same way.
    guard ending == nil else { return }
    finish(.failure(TransportError(.cancelled, "\(origin): cancelled")))
  }

  // MARK: Ends

  /// Once.
  func finish(_ result: Result<Void, TransportError>) {
    guard ending == nil else { return }
    ending = result
    outgoing.removeAll()
    kept = nil
    connection?.close()
    connection = nil
    transport.remove(self)
    wake()
    disarm()
  }

  /// Asked once a second. Time in which the peer waits for us does not count.
  func isStalled(_ limits: TransportLimits) -> Bool {
    let waitsForBody = leftToSend > 0 && outgoing.isEmpty && head == nil
    let isOurTurn = isReceivePaused || waitsForBody || !received.isEmpty
    return stallClock.isStalled(limits, isOurTurn: isOurTurn)
  }

  // MARK: Waiting

  private func resumeReceiving() {
    guard isReceivePaused, ending == nil else { return }
    isReceivePaused = false
    connection?.takeTurn()
  }
}
