// Copies uploaded in parts: begun, parts sent and each compared with its ETag, completed; whatever fails aborts the upload, so
// that nothing is left behind.
//
// Where the MD5 of the whole is known the source is read once from beginning to end, and the upload is completed only if it has
// it. Where nobody knows it (the source itself was uploaded in parts) ranges are read beside each other.
internal import PipelineCore
internal import Reactor

extension S3Destination {
  func putParts(_ copy: S3Copy, _ body: any ObjectBody) async throws(StoreError) -> CopyReceipt {
    let plan = PartPlan(length: body.info.size)
    let upload = try await beginUpload(copy, body.info)
    do throws(StoreError) {
      let parts: [MD5Digest]
      var whole: MD5Digest?
      if copy.md5 == nil, plan.count > 1, let range = plan.range(0), let first = try await body.part(range) {
        body.close()
        parts = try await sendBeside(upload, plan, body, first)
      } else {
        (parts, whole) = try await sendInOrder(upload, copy, plan, body)
      }
      let version = try await complete(upload, copy, parts)
      suspects.remove(copy.key)
      return CopyReceipt(bytes: body.info.size, md5: whole, targetVersionId: version)
    } catch {
      await abort(upload)
      throw error
    }
  }

  struct Upload {
    let key: String
    let id: String
  }

  private func beginUpload(_ copy: S3Copy, _ info: ObjectInfo) async throws(StoreError) -> Upload {
    var request = S3Request("POST", placement.bucket, copy.key, query: [("uploads", "")], body: .bytes([]))
    write(copy, info, copy.md5, to: &request.headers)
    let root = try client.document(try await client.perform(request), request)
    guard let id = root.text("UploadId"), !id.isEmpty else {
      throw StoreError(.targetRefused, isRetryable: true, "\(request.name): no upload id in the answer")
    }
    return Upload(key: copy.key, id: id)
  }

  private func partRequest(_ upload: Upload, _ number: Int, _ length: Int64) -> S3Request {
    S3Request(
      "PUT", placement.bucket, upload.key, query: [("partNumber", String(number)), ("uploadId", upload.id)],
      body: .streamed(length: length))
  }

  // MARK: In order

  private func sendInOrder(
    _ upload: Upload, _ copy: S3Copy, _ plan: PartPlan, _ body: any ObjectBody
  ) async throws(StoreError) -> (parts: [MD5Digest], whole: MD5Digest) {
    let md5 = lanes.begin()
    var reader = PieceReader(body)
    var digests: [MD5Digest] = []
    for index in 0..<plan.count {
      let length = plan.range(index).map { Int64($0.count) } ?? 0
      digests.append(try await sendPart(upload, index + 1, length, &reader, also: md5))
    }
    guard try await reader.isAtEnd() else { throw .changed(S3Source.name(copy.request)) }
    let digest = await md5.finish()
    if let expected = copy.md5, expected != digest { throw differs(copy, read: digest, expected) }
    return (digests, digest)
  }

  /// - Parameter whole: goes over all parts.
  fileprivate func sendPart(
    _ upload: Upload, _ number: Int, _ length: Int64, _ reader: inout PieceReader, also whole: LaneDigest?
  ) async throws(StoreError) -> MD5Digest {
    let exchange = client.begin(partRequest(upload, number, length))
    defer { exchange.cancel() }
    let md5 = lanes.begin()
    var left = length
    while left > 0 {
      if !reader.hasBuffer { try await exchange.flush() }
      guard let piece = try await reader.next(max: left) else { throw .changed(PrintableName.of(upload.key)) }
      await md5.add(piece.block, piece.range)
      await whole?.add(piece.block, piece.range)
      left -= Int64(piece.range.count)
      guard try await exchange.send(piece.block, piece.range) else { break }
    }
    let head = try await exchange.answer().head
    let digest = await md5.finish()
    guard let etag = head.etag else { throw partMismatch(upload, number, "has no ETag") }
    guard left == 0 else { throw partMismatch(upload, number, "was answered before it was sent") }
    if let answered = head.contentMD5, answered != digest { throw partMismatch(upload, number, "has ETag \(etag), not \(digest)") }
    return digest
  }

  private func partMismatch(_ upload: Upload, _ number: Int, _ what: String) -> StoreError {
    StoreError(
      .checksumMismatch, isRetryable: true, "\(PrintableName.of("\(placement.bucket)/\(upload.key)")): part \(number) \(what)")
  }

  // MARK: Beside each other

  private func sendBeside(
    _ upload: Upload, _ plan: PartPlan, _ body: any ObjectBody, _ first: any ObjectBody
  ) async throws(StoreError) -> [MD5Digest] {
    guard let handle = Reactor.current?.handle else { preconditionFailure("not on a worker") }
    let job = PartJob(destination: self, upload: upload, plan: plan, body: body, first: first)
    let lanes = PartLanes(handle: handle, job: OnWorker(job))
    do throws(StoreError) {
      return try await lanes.run(atOnce: placement.partsConcurrency)
    } catch {
      job.first?.close()
      throw error
    }
  }

  fileprivate func sendRange(_ job: PartJob, _ index: Int) async throws(StoreError) -> MD5Digest {
    guard let range = job.plan.range(index) else { preconditionFailure("an empty object has no ranges") }
    let taken = index == 0 ? job.first : nil
    if index == 0 { job.first = nil }
    let opened: (any ObjectBody)? = if let taken { taken } else { try await job.body.part(range) }
    guard let opened else { throw .changed(PrintableName.of(job.upload.key)) }
    defer { opened.close() }
    var reader = PieceReader(opened)
    let digest = try await sendPart(job.upload, index + 1, Int64(range.count), &reader, also: nil)
    guard try await reader.isAtEnd() else { throw .changed(PrintableName.of(job.upload.key)) }
    return digest
  }

  // MARK: Ends

  /// - Returns: the version id the target gave.
  private func complete(_ upload: Upload, _ copy: S3Copy, _ parts: [MD5Digest]) async throws(StoreError) -> String? {
    let lines = parts.enumerated().map { "<Part><PartNumber>\($0.offset + 1)</PartNumber><ETag>\"\($0.element.hex)\"</ETag></Part>" }
    let xml = Array("<CompleteMultipartUpload>\(lines.joined())</CompleteMultipartUpload>".utf8)
    var request = S3Request("POST", placement.bucket, upload.key, query: [("uploadId", upload.id)], body: .bytes(xml))
    request.headers.append("content-type", "application/xml")
    copy.condition.write(to: &request.headers)
    let answer = try await client.perform(request)
    let root = try client.document(answer, request)
    guard root.name == "CompleteMultipartUploadResult" else {
      throw StoreError(.targetUnavailable, isRetryable: true, "\(request.name): answered with <\(root.name)>")
    }
    let etag = (root.text("ETag") ?? "").filter { $0 != "\"" }
    let expected = "\(MD5Digest.ofParts(parts))-\(parts.count)"
    // Of another form: encrypted by the service. The parts were compared.
    if etag.utf8.count == expected.utf8.count, etag != expected {
      let there = try await client.head(placement.bucket, copy.key)
      guard there?.etag == expected else { try await distrust(copy, "the target answered with ETag \(etag), the parts have \(expected)") }
    }
    return answer.head["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 }
  }

  /// As well as it goes: a service that is away keeps the parts until it removes them itself.
  private func abort(_ upload: Upload) async {
    let request = S3Request("DELETE", placement.bucket, upload.key, query: [("uploadId", upload.id)])
    do throws(StoreError) {
      _ = try await client.perform(request)
    } catch {
      // The error that led here is the one to be told.
      return
    }
  }
}

extension MD5Digest {
  /// The MD5 over the MD5s of parts, as in the ETag of an object made of them.
  static func ofParts(_ parts: [MD5Digest]) -> MD5Digest {
    let md5 = MD5()
    for part in parts { part.withBytes { md5.add($0) } }
    return md5.finish()
  }
}

/// A body cut at other places than its blocks.
private struct PieceReader {
  private let body: any ObjectBody
  private var block: Block?
  private var start = 0

  init(_ body: any ObjectBody) { self.body = body }

  var hasBuffer: Bool { block != nil || body.hasBuffer }

  /// Up to `max` bytes of the present block, or of the next; nil at the end.
  mutating func next(max: Int64) async throws(StoreError) -> (block: Block, range: Range<Int>)? {
    if block == nil {
      block = try await body.next()
      start = 0
    }
    guard let block else { return nil }
    let range = start..<(start + Int(min(max, Int64(block.count - start))))
    start = range.upperBound
    if start == block.count { self.block = nil }
    return (block, range)
  }

  mutating func isAtEnd() async throws(StoreError) -> Bool {
    guard block == nil else { return false }
    return try await body.next() == nil
  }
}

/// One object whose parts are sent beside each other.
private final class PartJob {
  let destination: S3Destination
  let upload: S3Destination.Upload
  let plan: PartPlan
  let body: any ObjectBody
  /// Opened already, to see whether the source can do this.
  var first: (any ObjectBody)?
  /// Parts begun.
  var begun = 0

  init(
    destination: S3Destination, upload: S3Destination.Upload, plan: PartPlan, body: any ObjectBody, first: any ObjectBody
  ) {
    self.destination = destination
    self.upload = upload
    self.plan = plan
    self.body = body
    self.first = first
  }

  func send(_ index: Int) async throws(StoreError) -> MD5Digest { try await destination.sendRange(self, index) }
}

/// Says that a value stays on the worker it was made on.
// Unchecked: the one actor that gets it runs on that worker's reactor.
private struct OnWorker<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

/// Runs some parts at a time, on the worker that owns the object.
private actor PartLanes {
  private let handle: ReactorHandle
  private let job: OnWorker<PartJob>
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  init(handle: ReactorHandle, job: OnWorker<PartJob>) {
    self.handle = handle
    self.job = job
  }

  /// - Returns: the digests in the parts' order. - Errors: the first; no further part is begun, those under way are cancelled.
  func run(atOnce: Int) async throws(StoreError) -> [MD5Digest] {
    let executor = handle.executor
    let count = job.value.plan.count
    let outcome = await withTaskGroup(of: (Int, Result<MD5Digest, StoreError>).self) { group in
      var digests = [MD5Digest?](repeating: nil, count: count)
      var next = 0
      var failure: StoreError?
      func add() {
        let index = next
        next += 1
        group.addTask(executorPreference: executor) { await self.part(index) }
      }
      while next < min(atOnce, count) { add() }
      while let (index, result) = await group.next() {
        switch result {
        case .success(let digest):
          digests[index] = digest
          if failure == nil, next < count { add() }
        case .failure(let error):
          if failure == nil { failure = error }
          group.cancelAll()
        }
      }
      return (digests, failure)
    }
    if let failure = outcome.1 { throw failure }
    return outcome.0.compactMap { $0 }
  }

  private func part(_ index: Int) async -> (Int, Result<MD5Digest, StoreError>) {
    do throws(StoreError) { return (index, .success(try await job.value.send(index))) } catch { return (index, .failure(error)) }
  }
}
