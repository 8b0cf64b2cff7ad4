// From octets to requests: receiving, heads, bodies, `100 Continue`.
internal import Reactor

extension Connection {
  /// One read. What is beyond the buffer stays in the kernel, which will tell again.
  func receive() {
    isReadable = false
    guard !inputEnded, !input.isFull else { return }
    let wasEmpty = input.isEmpty
    switch input.receive(from: fd) {
    case .received(let count):
      let now = listener.reactor.now
      switch state {
      case .head: if wasEmpty { stateSince = now }
      case .sizedBody, .chunkedBody: bodyProgress = now
      case .ending(let discarded): discard(count, before: discarded)
      case .answering, .closed: break
      }
    case .wouldBlock: break
    case .endOfInput: inputEnded = true
    case .failed: close()
    }
  }

  private func discard(_ count: Int, before: Int) {
    input.clear()
    state = .ending(discarded: before + count)
    if before + count > listener.limits.discardBytesMax { close() }
  }

  /// - Returns: false if octets are missing.
  func readHead() -> Bool {
    let parsed: RequestHead?
    do throws(HTTPParseError) {
      parsed = try input.withSpan { bytes throws(HTTPParseError) in try parser.parse(bytes) }
    } catch {
      fail(HTTPError(error))
      return true
    }
    guard let head = parsed else {
      // A peer that closes inside a head gets no answer: it cannot expect one.
      if inputEnded { enter(.ending(discarded: 0)) }
      return inputEnded
    }
    begin(head)
    if head.framing == .none {
      dispatch(head)
      input.consume(head.byteCount)
    } else {
      beginBody(head)
    }
    return true
  }

  private func begin(_ head: RequestHead) {
    sequence &+= 1
    requestID = listener.nextRequestID()
    isHead = head.method == .head
    keepsAlive = head.keepsAlive
    minorVersion = head.minorVersion
  }

  /// Hands a request without a body to the handler, in place.
  private func dispatch(_ head: RequestHead) {
    enter(.answering)
    let responder = Responder(connection: self, sequence: sequence)
    input.withSpan { listener.handler.handle(head, bytes: $0, body: [], responder: responder) }
  }

  private func beginBody(_ head: RequestHead) {
    let bodyBytesMax = listener.limits.bodyBytesMax
    let next: State
    switch head.framing {
    case .length(let length):
      if length > bodyBytesMax { return fail(HTTPError(.bodyTooLarge)) }
      next = .sizedBody(remaining: length)
    case .chunked: next = .chunkedBody(ChunkedDecoder(limits: listener.limits))
    case .none: preconditionFailure("a request without a body is dispatched at once")
    }
    var headBytes: [UInt8] = []
    input.append(0..<head.byteCount, to: &headBytes)
    pending = (head, headBytes)
    input.consume(head.byteCount)
    bodyProgress = listener.reactor.now
    enter(next)
    // RFC 9110 10.1.1: no use if the body is already on its way.
    if head.expectsContinue, input.isEmpty { output.append("HTTP/1.1 100 Continue\r\n\r\n") }
  }

  /// - Returns: false if octets are missing.
  func readSizedBody(_ remaining: Int) -> Bool {
    let count = min(remaining, input.count)
    guard appendBody(0..<count) else { return true }
    input.consume(count)
    if count == remaining {
      finishBody()
      return true
    }
    state = .sizedBody(remaining: remaining - count)
    return endIfAborted()
  }

  /// - Returns: false if octets are missing.
  func readChunkedBody(_ from: ChunkedDecoder) -> Bool {
    var decoder = from
    var position = 0
    while true {
      let step: ChunkedDecoder.Step
      do throws(HTTPParseError) {
        step = try input.withSpan { bytes throws(HTTPParseError) in try decoder.next(bytes, from: position) }
      } catch {
        fail(HTTPError(error))
        return true
      }
      switch step {
      case .data(let range):
        guard appendBody(range) else { return true }
        position = range.upperBound
      case .needMore:
        input.clear()
        state = .chunkedBody(decoder)
        return endIfAborted()
      case .end(let consumed):
        input.consume(consumed)
        finishBody()
        return true
      }
    }
  }

  /// - Returns: false if all bodies together would need too much; that has been answered then.
  private func appendBody(_ range: Range<Int>) -> Bool {
    guard listener.bodyBytesHeld + range.count <= listener.limits.bodyBytesTotalMax else {
      fail(.tooManyBodies)
      return false
    }
    listener.bodyBytesHeld += range.count
    input.append(range, to: &body)
    return true
  }

  /// A peer that closes inside a body gets no answer.
  private func endIfAborted() -> Bool {
    guard inputEnded else { return false }
    forgetBody()
    enter(.ending(discarded: 0))
    return true
  }

  private func finishBody() {
    guard let request = pending else { preconditionFailure("a body without a head") }
    let complete = body
    forgetBody()
    enter(.answering)
    listener.handler.handle(
      request.head, bytes: request.bytes.span, body: complete, responder: Responder(connection: self, sequence: sequence))
  }

  func forgetBody() {
    listener.bodyBytesHeld -= body.count
    pending = nil
    body = []
  }
}
