// Failed replications: the list, one object's failures, retry; and the workflow overlay.
internal import HTTP
internal import PipelineCore

extension Routes {
  func answerFailedPage(_ page: QueryRules.FailedPage, _ responder: Responder) {
    // Backbeat looks a missing site name up literally and finds nothing; kept, and needs no list.
    guard let location = page.location else { return responder.respond(FailedBodies.page(FailedPage(items: []))) }
    guard let list = providers.failedList else { return responder.respond(APIError.notServed("the failed list")) }
    list.page(of: location, marker: page.marker) { page in
      guard let page else { return responder.respond(Self.unreadableList) }
      responder.respond(FailedBodies.page(page))
    }
  }

  func answerFailures(of object: ObjectVersionName, _ responder: Responder) {
    guard let list = providers.failedList else { return responder.respond(APIError.notServed("the failed list")) }
    let answer = { (items: [FailedItem]?) in
      guard let items else { return responder.respond(Self.unreadableList) }
      responder.respond(FailedBodies.page(FailedPage(items: items)))
    }
    guard object.isNullVersion else { return list.failures(of: object, answer) }
    list.failures(of: object.withoutVersion) { items in
      if items?.isEmpty == true { list.failures(of: object, answer) } else { answer(items) }
    }
  }

  private static let unreadableList = APIError.internalError("The failed list cannot be read.")

  func retryFailed(_ request: RequestParts) {
    let responder = request.responder
    do throws(HTTPError) {
      let requests = try FailedBodies.retryRequests(request.body)
      guard let list = providers.failedList else { throw APIError.notServed("the failed list") }
      list.retry(requests.map(\.byAbsentVersion)) { items in
        guard let items else { return responder.respond(Self.unreadableList) }
        let found = Set(items.map { RetryRequest(object: $0.object, location: $0.location, isForced: false) })
        let missing = requests.filter { $0.object.isNullVersion && !found.contains($0.byAbsentVersion.unforced) }
        guard !missing.isEmpty else { return responder.respond(FailedBodies.retried(items)) }
        list.retry(missing) { more in
          // What the first question has enqueued is enqueued, whatever became of the second.
          guard more != nil || !items.isEmpty else { return responder.respond(Self.unreadableList) }
          responder.respond(FailedBodies.retried(items + (more ?? [])))
        }
      }
    } catch {
      responder.respond(error)
    }
  }

  /// Backbeat's overlay of bucket workflows. An empty one asks for nothing and gets it.
  func applyWorkflows(_ request: RequestParts) {
    do throws(HTTPError) {
      guard let members = try Self.json(request.body).members else {
        throw APIError.malformedBody("The POST body must be a JSON object.")
      }
      guard members.isEmpty else { throw APIError.notServed("workflow configuration") }
      request.responder.respond(ControlBodies.empty)
    } catch {
      request.responder.respond(error)
    }
  }
}

/// `null` is how S3 names the version of an object without versions. Lists hold such an object without a version; one that
/// is listed as `null` is found when nothing else is.
extension ObjectVersionName {
  var isNullVersion: Bool { versionId == VersionId.null }
  var withoutVersion: ObjectVersionName { ObjectVersionName(bucket: bucket, key: key, versionId: nil) }
}

extension RetryRequest {
  fileprivate var byAbsentVersion: RetryRequest {
    object.isNullVersion ? RetryRequest(object: object.withoutVersion, location: location, isForced: isForced) : self
  }

  fileprivate var unforced: RetryRequest { RetryRequest(object: object, location: location, isForced: false) }
}

enum FailedBodies {
  /// `{"IsTruncated":…,"Versions":[…],"NextMarker":…}`; `NextMarker` only when there is more.
  static func page(_ page: FailedPage) -> Response {
    var json = JSONWriter(reservingCapacity: 64 + 200 * page.items.count)
    json.beginObject()
    json.name("IsTruncated")
    json.bool(page.nextMarker != nil)
    json.name("Versions")
    json.beginArray()
    for item in page.items {
      json.beginObject()
      members(of: item, &json)
      json.endObject()
    }
    json.endArray()
    if let marker = page.nextMarker { json.member("NextMarker", marker) }
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  /// What was enqueued for another try.
  static func retried(_ items: [FailedItem]) -> Response {
    var json = JSONWriter(reservingCapacity: 16 + 230 * items.count)
    json.beginArray()
    for item in items {
      json.beginObject()
      members(of: item, &json)
      json.member("ReplicationStatus", "PENDING")
      json.endObject()
    }
    json.endArray()
    return Response(.ok, body: json.bytes)
  }

  private static func members(of item: FailedItem, _ json: inout JSONWriter) {
    json.member("Bucket", item.object.bucket)
    json.member("Key", item.object.key)
    if let versionId = item.object.versionId { json.member("VersionId", versionId) }
    json.member("StorageClass", item.location)
    json.member("Size", item.size)
    json.member("LastModified", item.lastModified)
    if !item.reason.isEmpty { json.member("Reason", item.reason) }
    if !item.message.isEmpty { json.member("Message", item.message) }
    if item.attempts > 0 { json.member("Attempts", Int64(item.attempts)) }
    if let failedAtMs = item.failedAtMs { json.member("FailedAt", ISO8601.string(ms: failedAtMs)) }
  }

  /// A non-empty array of objects; the message names the rule broken. Each object version is asked for once a location, forced
  /// if that is asked for anywhere.
  static func retryRequests(_ body: [UInt8]) throws(HTTPError) -> [RetryRequest] {
    guard let items = try Routes.json(body).array, !items.isEmpty else {
      throw APIError.malformedBody("The POST body must be a non-empty array.")
    }
    var requests: [RetryRequest] = []
    var places: [RetryRequest: Int] = [:]
    for item in items {
      let request = try retryRequest(item)
      let tuple = request.byAbsentVersion.unforced
      if let place = places[tuple] {
        if request.isForced { requests[place].isForced = true }
      } else {
        places[tuple] = requests.count
        requests.append(request)
      }
    }
    return requests
  }

  private static func retryRequest(_ item: JSONValue) throws(HTTPError) -> RetryRequest {
    guard item.members != nil else { throw APIError.malformedBody("The POST body must be an array of objects.") }
    let bucket = try text("Bucket", of: item)
    let key = try text("Key", of: item)
    let location = try text("StorageClass", of: item)
    var versionId: String?
    if let value = item["VersionId"] {
      guard let text = value.string else { throw APIError.malformedBody("The property 'VersionId' must be a string.") }
      versionId = text.isEmpty ? nil : text
    }
    var isForced = false
    if let value = item["ForceRetry"] {
      guard let flag = value.bool else { throw APIError.malformedBody("The property 'ForceRetry' must be a boolean.") }
      isForced = flag
    }
    let object = ObjectVersionName(bucket: bucket, key: key, versionId: versionId)
    return RetryRequest(object: object, location: location, isForced: isForced)
  }

  private static func text(_ name: String, of item: JSONValue) throws(HTTPError) -> String {
    guard let text = item[name]?.string, !text.isEmpty else {
      throw APIError.malformedBody("The property '\(name)' must be a non-empty string.")
    }
    return text
  }
}
