// The failed lists of embedded mode as the API shows them: from each location's state directory, retried by looking at
// the object again.
internal import Pipeline
internal import PipelineCore
internal import Reactor

/// The lists of all locations, on a thread of their own: their files are written with fsync.
final class FailedLists {
  private let thread: ReactorThread
  private var lists: [String: FailedList] = [:]
  private let expiry: Duration
  private let areKept: Bool
  /// What the tree that is listed here holds; nil where none is.
  private(set) var look: SourceLook?
  /// Puts an object back into the location's topic.
  var requeue: ((_ bucket: String, _ key: String, _ site: String) -> Bool)?

  /// - Parameters:
  ///   - expiry: how long a failure is listed.
  ///   - areKept: false: failures are monitored by nobody, and nothing is listed.
  init(expiry: Duration, areKept: Bool) throws(NodeFailure) {
    (self.expiry, self.areKept) = (expiry, areKept)
    do { thread = try ReactorThread.start(name: "failed-lists") { _ in } } catch { throw NodeFailure("failed list: \(error)") }
  }

  /// Opens a location's list, if it is not open already; it stays open, for what is still written to it.
  /// - Blocking: reads it once. - Errors: naming the file.
  func open(_ site: String, directory: String) throws(NodeFailure) {
    guard areKept, lists[site] == nil else { return }
    try StateDirectory.make(directory)
    do {
      lists[site] = FailedList(log: try FailedLog(directory: directory, expiry: expiry), on: thread.handle)
    } catch {
      throw NodeFailure("failed list: \(error)")
    }
  }

  /// Objects of this tree are looked at before they are retried, on the lists' thread, which may wait for a disk.
  func startLooking(at tree: NodePlan.Tree, for locations: [PopulatedLocation]) {
    let look = self.look ?? SourceLook(path: tree.sourcePath, naming: tree.naming, on: thread.handle)
    look.add(locations)
    self.look = look
  }

  func list(of site: String) -> FailedList? { lists[site] }
  var sites: [String] { lists.keys.sorted() }

  /// - Blocking: until the write under way has ended.
  func stop() {
    thread.handle.stop()
    thread.join()
  }
}

final class NodeFailedList: FailedListProvider {
  private let lists: FailedLists
  private let reactor: ReactorHandle

  init(_ lists: FailedLists, reactor: ReactorHandle) {
    self.lists = lists
    self.reactor = reactor
  }

  func page(of location: String, marker: Int64?, _ reply: @escaping (FailedPage?) -> Void) {
    guard let list = lists.list(of: location) else { return reply(FailedPage(items: [], nextMarker: nil)) }
    answer(reply) {
      let page = try await list.page(markerMs: marker)
      return FailedPage(items: page.records.map { FailedItem($0, location: location) }, nextMarker: page.nextMarkerMs)
    }
  }

  func failures(of object: ObjectVersionName, _ reply: @escaping ([FailedItem]?) -> Void) {
    let lists = lists.sites.compactMap { site in self.lists.list(of: site).map { (site, $0) } }
    let version = FailedVersion(bucket: object.bucket, key: object.key, versionId: object.versionId ?? "")
    answer(reply) {
      var found: [FailedItem] = []
      for (site, list) in lists {
        if let record = try await list.record(of: version) { found.append(FailedItem(record, location: site)) }
      }
      return found
    }
  }

  /// What the source has now is enqueued and answered. What it does not have any more leaves the list and is not in the answer, unless
  /// its copy is still to go; what cannot be looked at stays on the list.
  func retry(_ requests: [RetryRequest], _ reply: @escaping ([FailedItem]?) -> Void) {
    let known = requests.compactMap { request in lists.list(of: request.location).map { (request, $0) } }
    let look = lists.look
    answer({ [lists] (items: [FailedItem]?) in
      reply(items?.filter { lists.requeue?($0.object.bucket, $0.object.key, $0.location) ?? false })
    }) {
      var found: [FailedItem] = []
      for (request, list) in known {
        let record = try await list.record(of: FailedVersion(request.object))
        guard record != nil || request.isForced else { continue }
        if let item = await Self.item(request, record, list, look) { found.append(item) }
      }
      return found
    }
  }

  /// - Returns: nil for what is not to be enqueued.
  private static func item(
    _ request: RetryRequest, _ record: FailedRecord?, _ list: FailedList, _ look: SourceLook?
  ) async -> FailedItem? {
    let listed = record.map { FailedItem($0, location: request.location) }
    // A path that could not become an object is for the next listing to judge; where nothing is listed, nothing can be enqueued.
    guard let look, record?.origin != .listing else { return listed }
    let name = Pipeline.ObjectName(bucket: request.object.bucket, key: request.object.key)
    // No version of something that has none was ever there.
    switch await request.object.versionId == nil ? look.file(of: name) : .gone {
    case .file(let file):
      return FailedItem(
        object: request.object, location: request.location, size: file.size,
        lastModified: ISO8601.string(ms: file.modifiedNs / 1_000_000))
    case .gone:
      if await look.hasCopyToRemove(of: name, at: request.location) { return listed }
      // If it cannot be taken off now, the next retry finds it there.
      if let record { _ = await list.clear(record.version) }
      return nil
    case .unreadable: return nil
    }
  }

  /// Runs `question` off this thread and answers on it; nil when the list cannot be read.
  private func answer<Value: Sendable>(_ reply: @escaping (Value?) -> Void, _ question: @escaping @Sendable () async throws -> Value) {
    let box = ReplyBox(reply)
    Task.detached(executorPreference: reactor.executor) {
      do {
        let value = try await question()
        box.reply(value)
      } catch {
        box.reply(nil)
      }
    }
  }
}

/// A reply that must run on T0; the task above runs there and nowhere else.
final class ReplyBox<Value: Sendable>: @unchecked Sendable {  // made and used on T0 only
  private let body: (Value?) -> Void
  init(_ body: @escaping (Value?) -> Void) { self.body = body }
  func reply(_ value: Value?) { body(value) }
}

extension FailedItem {
  init(_ record: FailedRecord, location: String) {
    self.init(
      object: ObjectVersionName(
        bucket: record.bucket, key: record.key, versionId: record.versionId.isEmpty ? nil : record.versionId),
      location: location, size: record.size, lastModified: record.lastModified, reason: record.reason,
      message: record.message, attempts: record.attempts, failedAtMs: record.failedAtMs)
  }
}
