// From what a service or a connection answered to why an object was not copied, and whether trying again can help: server
// errors, throttling, time-outs and the network can; what an authority refused cannot.
internal import PipelineCore

/// The body of an error answer.
struct S3ErrorDocument {
  /// Longest message kept; the rest is cut.
  static let messageMax = 300

  var code: String
  var message: String

  init(code: String, message: String) {
    self.code = code
    self.message = message
  }

  /// Nil for anything but an `Error` document.
  init?(_ body: [UInt8]) {
    guard !body.isEmpty else { return nil }
    do throws(XMLElement.Malformed) {
      let root = try XMLElement(parsing: body)
      guard root.name == "Error" else { return nil }
      code = root.text("Code") ?? ""
      message = String(PrintableName.of(root.text("Message") ?? "").prefix(Self.messageMax))
    } catch {
      // A proxy's page, or cut short: the status says enough.
      return nil
    }
  }
}

enum S3Failure {
  /// The longest `Retry-After` that is followed.
  static let retryAfterMax: Duration = .seconds(300)

  /// - Parameter status: nil for an error document inside an answer of success.
  static func error(
    _ document: S3ErrorDocument, status: Int?, _ head: ResponseHead, side: StoreSide, name: String
  ) -> StoreError {
    let verdict = verdict(document.code, status, side)
    let said = [status.map(String.init), document.code, document.message].compactMap { $0 }.filter { !$0.isEmpty }
    var message = "\(name): \(said.joined(separator: " "))"
    if let advice = verdict.advice { message += "; \(advice)" }
    var error = StoreError(verdict.reason, isRetryable: verdict.isRetryable, message)
    error.side = side
    error.condition = side == .target ? conditionAnswer(status, document.code) : nil
    error.isOutage = verdict.isOutage
    error.retryAfter = verdict.isRetryable ? retryAfter(head) : nil
    return error
  }

  private struct Verdict {
    var reason: StoreError.Reason
    var isRetryable: Bool
    /// The service as a whole is ill, not this object.
    var isOutage = false
    var advice: String?
  }

  private static func verdict(_ code: String, _ status: Int?, _ side: StoreSide) -> Verdict {
    switch code {
    case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "RequestThrottled":
      return Verdict(reason: .throttled, isRetryable: true, isOutage: true)
    case "RequestTimeout", "RequestTimeoutException":
      return Verdict(reason: .timedOut, isRetryable: true, isOutage: true)
    case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch":
      return Verdict(reason: .checksumMismatch, isRetryable: true)
    case "IncompleteBody": return Verdict(reason: .unavailable(side), isRetryable: true)
    case "NoSuchBucket":
      return Verdict(
        reason: side == .source ? .sourceBucketMissing : .targetMissing, isRetryable: false,
        advice: side == .source ? "check endpoint and bucket of the source" : "create the bucket")
    case "NoSuchKey", "NoSuchVersion", "ObjNotFound":
      return side == .source ? Verdict(reason: .sourceNotFound, isRetryable: false) : Verdict(reason: .targetMissing, isRetryable: true)
    case "NoSuchUpload": return Verdict(reason: .targetChanged, isRetryable: true)
    case "RequestTimeTooSkewed":
      return Verdict(reason: .denied(side), isRetryable: false, advice: "set this machine's clock")
    case "InvalidObjectState": return Verdict(reason: .sourceUnreadable, isRetryable: false, advice: "the object is archived; restore it")
    case "EntityTooLarge": return Verdict(reason: .fileTooLarge, isRetryable: false)
    case "KeyTooLongError": return Verdict(reason: .keyNotMappable, isRetryable: false)
    case "OperationAborted", "ConditionalRequestConflict": return Verdict(reason: .busy, isRetryable: true)
    case "InternalError", "ServiceUnavailable": return Verdict(reason: .unavailable(side), isRetryable: true, isOutage: true)
    default: return verdict(status: status, side)
    }
  }

  private static func verdict(status: Int?, _ side: StoreSide) -> Verdict {
    guard let status else { return Verdict(reason: .unavailable(side), isRetryable: true) }
    return switch status {
    case 429: Verdict(reason: .throttled, isRetryable: true, isOutage: true)
    case 401, 403: Verdict(reason: .denied(side), isRetryable: false, advice: "check the credentials and what they may do")
    case 404: side == .source ? Verdict(reason: .sourceNotFound, isRetryable: false) : Verdict(reason: .targetMissing, isRetryable: false)
    // A delete marker asked for as an object.
    case 405 where side == .source: Verdict(reason: .sourceNotFound, isRetryable: false)
    case 408: Verdict(reason: .timedOut, isRetryable: true, isOutage: true)
    case 409: Verdict(reason: .busy, isRetryable: true)
    case 412 where side == .source: Verdict(reason: .sourceChanged, isRetryable: true)
    case 412: Verdict(reason: .busy, isRetryable: true, advice: "somebody else wrote it meanwhile; the next attempt looks again")
    case 302, 303, 307: Verdict(reason: .redirected, isRetryable: true, isOutage: true, advice: "redirects are not followed")
    case 300..<400: Verdict(reason: .redirected, isRetryable: false, advice: "redirects are not followed; check endpoint and region")
    case 500...: Verdict(reason: .unavailable(side), isRetryable: true, isOutage: true)
    default: Verdict(reason: .refused(side), isRetryable: false)
    }
  }

  private static func conditionAnswer(_ status: Int?, _ code: String) -> ConditionAnswer? {
    switch (status, code) {
    case (412, _): .unmet
    case (501, _), (400, ""), (400, "NotImplemented"), (400, "InvalidRequest"): .perhapsRefused
    default: nil
    }
  }

  /// Seconds, or a date (which counts as absent: clocks differ).
  private static func retryAfter(_ head: ResponseHead) -> Duration? {
    guard let seconds = head["retry-after"].flatMap({ Int64($0) }), seconds >= 0 else { return nil }
    return min(.seconds(seconds), retryAfterMax)
  }

  static func error(_ transport: TransportError, side: StoreSide, name: String) -> StoreError {
    let (reason, isRetryable): (StoreError.Reason, Bool) =
      switch transport.kind {
      case .unreachable, .broken: (.unavailable(side), true)
      case .stalled: (.timedOut, true)
      case .untrusted: (.denied(side), false)
      case .cancelled: (.busy, true)
      case .impossible: (.refused(side), false)
      }
    var error = StoreError(reason, isRetryable: isRetryable, "\(name): \(transport.message)")
    // Cancelled by us: that says nothing of the store.
    if transport.kind != .cancelled {
      error.side = side
      error.isOutage = isRetryable
    }
    return error
  }
}

extension StoreError.Reason {
  static func unavailable(_ side: StoreSide) -> Self { side == .source ? .sourceUnavailable : .targetUnavailable }
  static func denied(_ side: StoreSide) -> Self { side == .source ? .sourceUnreadable : .targetDenied }
  static func refused(_ side: StoreSide) -> Self { side == .source ? .sourceRefused : .targetRefused }
}
