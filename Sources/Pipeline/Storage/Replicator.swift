// Copies one object version from a source to a location: opens, puts, tries again when the source changed meanwhile. All
// that stores differ in is behind `ObjectSource` and `ObjectDestination`; retries with back-off are the caller's.
//
// - Thread: one instance per worker and location, on the worker's executor.
internal import PipelineCore
internal import Reactor

public enum ReplicationOutcome: Hashable, Sendable {
  /// Written and durable.
  case copied(CopyReceipt)
  /// Equal bytes stood there already and count as our copy now.
  case adopted(CopyReceipt)
  /// This version is there: nothing was written.
  case skippedAlreadyThere(CopyReceipt)
  /// The target has a newer version: nothing was written.
  case skippedNewerThere
  /// A delete marker was carried out.
  case removed
  /// A delete marker with nothing of ours to remove.
  case nothingToRemove
  /// A delete marker of an object that is there again: nothing was removed.
  case skippedPresentAgain
  case failed(StoreError)
}

public final class Replicator {
  /// Attempts at a source that keeps changing under the copy, or a target that was thought to be empty.
  static let triesMax = 3
  /// Rest between them, times the attempt's number.
  static let changedRest: Duration = .milliseconds(50)

  private let source: any ObjectSource
  private let destination: any ObjectDestination
  /// Told of reads and writes that ended well; nil: nobody counts them.
  public var figures: CopyFigures?

  public init(source: any ObjectSource, destination: any ObjectDestination) {
    self.source = source
    self.destination = destination
  }

  /// - Parameter progress: hears of the bytes as they are read; whoever asks tells it the end.
  /// - Blocking: never the thread. - Errors: none thrown; `failed` says why.
  public func replicate(_ request: ObjectRequest, progress: (any TransferProgress)? = nil) async -> ReplicationOutcome {
    do throws(StoreError) {
      return request.isDeleteMarker ? try await remove(request) : try await copy(request, progress)
    } catch {
      return .failed(error)
    }
  }

  private func copy(_ request: ObjectRequest, _ progress: (any TransferProgress)?) async throws(StoreError) -> ReplicationOutcome {
    if request.extent != .whole {
      let began = Instant.nowUncached()
      if let updated = try await destination.update(request), let outcome = ReplicationOutcome(updated) {
        if case .written = updated { figures?.wroteMetadata(request.attributes.byteCount, in: Instant.nowUncached() - began) }
        return outcome
      }
    }
    var attempt = 1
    while true {
      do throws(StoreError) {
        if let outcome = try await copyOnce(request, progress) { return outcome }
        guard attempt < Self.triesMax else {
          let name = PrintableName.of("\(request.bucket)/\(request.key)")
          throw StoreError(.busy, isRetryable: true, "\(name): the target refuses to cover something that it does not show")
        }
      } catch {
        guard error.reason == .sourceChanged, attempt < Self.triesMax else { throw error }
        await Reactor.current?.pause(for: Self.changedRest * attempt)
      }
      attempt += 1
    }
  }

  /// - Returns: nil if something stands at the target that was not looked at.
  private func copyOnce(_ request: ObjectRequest, _ progress: (any TransferProgress)?) async throws(StoreError) -> ReplicationOutcome? {
    let look = destination.beginLook(request)
    defer { look?.cancel() }
    let began = Instant.nowUncached()
    let opened = try await source.open(request)
    defer { opened.close() }
    progress?.opened(bytes: opened.info.size)
    let body = MeasuredBody(opened, began: began, figures: figures, progress: progress)
    let writing = Instant.nowUncached()
    let outcome = try await destination.put(request, body, look)
    if let figures, case .written(let receipt) = outcome {
      let time = Instant.nowUncached() - writing
      // Without its bytes only what belongs to them was brought up to date.
      if body.given == opened.info.size {
        figures.wroteData(receipt.bytes, in: time)
      } else {
        figures.wroteMetadata(request.attributes.byteCount, in: time)
      }
    }
    return ReplicationOutcome(outcome, of: opened.info)
  }

  private func remove(_ request: ObjectRequest) async throws(StoreError) -> ReplicationOutcome {
    if request.versionId == nil, try await source.isPresent(request) { return .skippedPresentAgain }
    let began = Instant.nowUncached()
    switch try await destination.remove(request) {
    case .removed:
      figures?.wroteMetadata(0, in: Instant.nowUncached() - began)
      return .removed
    case .notThere, .notOurs: return .nothingToRemove
    case .newerThere: return .skippedNewerThere
    }
  }
}

extension ReplicationOutcome {
  /// - Parameter source: what the source said of the bytes that were read; nil if none were.
  /// - Returns: nil for none: it is to be tried again.
  fileprivate init?(_ outcome: PutOutcome, of source: ObjectInfo? = nil) {
    func filled(_ receipt: CopyReceipt) -> CopyReceipt {
      var receipt = receipt
      receipt.source = source
      return receipt
    }
    switch outcome {
    case .written(let receipt): self = .copied(filled(receipt))
    case .adopted(let receipt): self = .adopted(filled(receipt))
    case .alreadyThere(let receipt): self = .skippedAlreadyThere(filled(receipt))
    case .newerThere: self = .skippedNewerThere
    case .somethingThere: return nil
    }
  }
}
