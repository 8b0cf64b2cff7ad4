// Copies made with one PUT.
internal import PipelineCore
internal import Reactor

extension S3Destination {
  /// An object of one block: read whole, then sent with its MD5, which the service checks.
  func putBlock(_ copy: S3Copy, _ body: any ObjectBody) async throws(StoreError) -> CopyReceipt {
    let block = body.info.size > 0 ? try await body.next() : nil
    guard Int64(block?.count ?? 0) == body.info.size else { return try await putPieces(copy, block, body) }
    // Nil only if the source is still what it said.
    guard try await body.next() == nil else { throw .changed(S3Source.name(copy.request)) }
    let md5 = digests.take()
    defer { digests.giveBack(md5) }
    if let block { md5.add(block.filled) }
    let digest = md5.finish()
    if let expected = copy.md5, expected != digest { throw differs(copy, read: digest, expected) }
    let (info, endpoint) = (body.info, client.endpointInUse)
    guard copy.condition == .isAbsent, optimism.beginTrial(bytes: info.size, endpoint: endpoint, now: Instant.nowUncached()) else {
      return try await send(copy, digest, info, block)
    }
    var trial = OptimisticWrites.Trial.undecided
    defer { optimism.endTrial(trial, now: Instant.nowUncached()) }
    let bytes = block.map { Array($0.filled) } ?? []
    let receipt = try await send(copy, digest, info, block)
    trial = try await writeAgain(copy, digest, info, bytes)
    return receipt
  }

  private func send(_ copy: S3Copy, _ md5: MD5Digest, _ info: ObjectInfo, _ block: Block?) async throws(StoreError) -> CopyReceipt {
    let exchange = beginPut(copy, md5, info, .streamed(length: info.size))
    defer { exchange.cancel() }
    if let block { _ = try await exchange.send(block, 0..<block.count) }
    return try await confirm(copy, md5, info.size, exchange)
  }

  /// Finds out whether the service refuses to write where something stands: the same bytes, to where they have just been written.
  private func writeAgain(
    _ copy: S3Copy, _ md5: MD5Digest, _ info: ObjectInfo, _ bytes: [UInt8]
  ) async throws(StoreError) -> OptimisticWrites.Trial {
    let endpoint = client.endpointInUse
    let exchange = beginPut(copy, md5, info, .bytes(bytes))
    defer { exchange.cancel() }
    do throws(StoreError) {
      _ = try await confirm(copy, md5, info.size, exchange)
      return .covered
    } catch {
      // The copy itself is there, unless it is not what it was.
      guard error.reason != .checksumMismatch else { throw error }
      return error.condition == .unmet ? .refused(endpoint: endpoint) : .undecided
    }
  }

  /// A source that gives small blocks: as a longer object, if its MD5 is known, else in parts.
  private func putPieces(_ copy: S3Copy, _ first: Block?, _ body: any ObjectBody) async throws(StoreError) -> CopyReceipt {
    let rest = ResumedBody(first, body)
    if let md5 = copy.md5 { return try await putStream(copy, md5, rest) }
    return try await putParts(copy, rest)
  }

  /// A longer object whose MD5 is known. The last bytes are sent only when everything read has it.
  func putStream(_ copy: S3Copy, _ expected: MD5Digest, _ body: any ObjectBody) async throws(StoreError) -> CopyReceipt {
    let exchange = beginPut(copy, expected, body.info, .streamed(length: body.info.size))
    defer { exchange.cancel() }
    let md5 = lanes.begin()
    let size = body.info.size
    var offset: Int64 = 0
    while offset < size {
      // Nobody waits for a block while holding one.
      if !body.hasBuffer { try await exchange.flush() }
      guard let block = try await body.next() else { throw .changed(S3Source.name(copy.request)) }
      await md5.add(block, 0..<block.count)
      offset += Int64(block.count)
      guard offset <= size else { throw .changed(S3Source.name(copy.request)) }
      if offset == size {
        guard try await body.next() == nil else { throw .changed(S3Source.name(copy.request)) }
        let digest = await md5.finish()
        guard digest == expected else { throw differs(copy, read: digest, expected) }
      }
      // False: answered already, which is read below.
      guard try await exchange.send(block, 0..<block.count) else { break }
    }
    return try await confirm(copy, expected, offset, exchange)
  }

  private func beginPut(_ copy: S3Copy, _ md5: MD5Digest, _ info: ObjectInfo, _ body: S3Request.Body) -> S3Exchange {
    var request = S3Request("PUT", placement.bucket, copy.key, body: body)
    write(copy, info, md5, to: &request.headers)
    request.headers.append("content-md5", bytesMax: MD5Digest.base64Count) { md5.appendBase64(to: &$0) }
    copy.condition.write(to: &request.headers)
    return client.begin(request)
  }

  /// Reads the answer of a PUT and believes it only if it names the same bytes.
  private func confirm(_ copy: S3Copy, _ md5: MD5Digest, _ size: Int64, _ exchange: S3Exchange) async throws(StoreError) -> CopyReceipt {
    let head = try await exchange.answer().head
    let named = head["x-amz-version-id"]
    if named != nil { optimism.sawVersion() }
    let version = named == "null" ? nil : named
    // An ETag that is no MD5 of the contents proves nothing; the service has checked Content-MD5 then.
    if let answered = head.contentMD5, answered != md5 {
      try await distrust(copy, "the target answered with ETag \(answered), the bytes sent have MD5 \(md5)")
    }
    if !head.has("etag") {
      // Not how S3 answers: what stands there is looked at.
      let there = try await client.head(placement.bucket, copy.key)
      guard there?.size == size else { try await distrust(copy, "the target has \(there?.size ?? 0) bytes of \(size)") }
    }
    suspects.remove(copy.key)
    return CopyReceipt(bytes: size, md5: md5, targetVersionId: version)
  }

  /// The next attempt writes again, whatever it finds.
  func distrust(_ copy: S3Copy, _ what: String) async throws(StoreError) -> Never {
    // Bounded by the objects in flight that meet such a service; each is taken out by its next good copy.
    suspects.insert(copy.key)
    throw mismatch(copy, what)
  }
}

/// A body whose first block was taken already.
private final class ResumedBody: ObjectBody {
  private var first: Block?
  private let rest: any ObjectBody

  init(_ first: Block?, _ rest: any ObjectBody) {
    self.first = first
    self.rest = rest
  }

  var info: ObjectInfo { rest.info }
  var md5: MD5Digest? { rest.md5 }
  var attributes: ObjectAttributes? { rest.attributes }
  var hasBuffer: Bool { first != nil || rest.hasBuffer }

  func next() async throws(StoreError) -> Block? {
    if let block = first.take() { return block }
    return try await rest.next()
  }

  func close() {
    first = nil
    rest.close()
  }
}
