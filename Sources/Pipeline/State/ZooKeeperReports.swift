// This node's ephemeral reports, kept at what was last stated, and a mirror of those of all live nodes.
//
// Invariant: a report is written over only if it is known to belong to this session, or to a session of this process's earlier
// life, which cannot write any more. One that belongs to somebody else is left alone and complained of: two nodes have one id.
//
// One chain of requests for each report at a time; the newest statement waits, those between are left out.
internal import PipelineCore
internal import Reactor

final class ZooKeeperReports {
  /// Between attempts to write a report that was refused or belongs to somebody else.
  static let retryDelay = Duration.seconds(1)

  private final class Own {
    var json: [UInt8]
    let path: String
    /// The session in which the node was made, so that it is known to be ours.
    var session: Int64?
    var isBusy = false
    var isDirty = true
    var isWithdrawn = false
    var isTakenTold = false

    init(json: [UInt8], path: String) {
      self.json = json
      self.path = path
    }
  }

  private final class Mirror {
    let path: String
    var reports: [String: RawNodeReport] = [:]
    var openCount = 0
    var isListing = false
    var again = false

    init(path: String) { self.path = path }
  }

  private let reactor: Reactor
  private let client: ZooKeeperClient
  private let nodeId: String
  private let sessionFile: StateFile?
  private let calls: BlockingCalls?
  /// Sessions of this node, the earlier ones among them.
  private var sessions: Set<Int64> = []
  private var own: [LocationKey: Own] = [:]
  private var mirrors: [LocationKey: Mirror] = [:]
  private var mirrorsByPath: [String: LocationKey] = [:]

  var onReports: ((LocationKey, [RawNodeReport]) -> Void)?
  var onTaken: ((LocationKey) -> Void)?

  init(reactor: Reactor, client: ZooKeeperClient, nodeId: String) {
    self.reactor = reactor
    self.client = client
    self.nodeId = nodeId
    sessionFile = client.settings.sessionDirectory.map { StateFile(directory: $0, name: "zookeeper-session") }
    calls = sessionFile.map { _ in BlockingCalls(reactor: reactor, name: "db-session") }
  }

  func stop() { calls?.stop {} }

  /// Whether a report was found to belong to another live session, and still does as far as is known.
  var isTaken: Bool { own.values.contains { $0.isTakenTold } }

  // MARK: Sessions

  /// Reads which session this process's last life had.
  func loadSession(_ completion: @escaping () -> Void) {
    guard let sessionFile, let calls else { return completion() }
    let accepted = calls.run(
      { () -> Int64? in
        do throws(Errno) {
          return try sessionFile.read().flatMap { Int64(String(decoding: $0.entry.json, as: UTF8.self)) }
        } catch {
          return nil  // not known: the old session's reports are waited for
        }
      },
      then: { [weak self] session in
        if let session { self?.sessions.insert(session) }
        completion()
      })
    if !accepted { completion() }
  }

  func connectionBecame(_ connection: StateStoreConnection) {
    for report in own.values { report.isBusy = false }
    guard case .connected(let session) = connection else { return }
    if sessions.insert(session).inserted { keepSession(session) }
    for (key, report) in own {
      report.isDirty = true
      write(key)
    }
    for key in mirrors.keys { list(key) }
  }

  private func keepSession(_ session: Int64) {
    guard let sessionFile else { return }
    let entry = StoredEntry(json: Array(String(session).utf8), version: StateVersion(epoch: 0, number: 0))
    _ = calls?.run(
      {
        do throws(Errno) {
          try sessionFile.write(StateFile.Content(entry: entry, savedAtMs: WallClock.nowMs()))
        } catch {}  // the next life waits for this session's end instead
      }, then: {})
  }

  // MARK: Own reports

  func publish(_ key: LocationKey, _ json: [UInt8]) {
    if let report = own[key] {
      report.json = json
      report.isDirty = true
      report.isWithdrawn = false
    } else {
      own[key] = Own(json: json, path: client.path(StatePaths.report(key, nodeId: nodeId)))
    }
    write(key)
  }

  func withdraw(_ key: LocationKey) {
    guard let report = own[key] else { return }
    report.isWithdrawn = true
    report.isDirty = true
    write(key)
  }

  private func write(_ key: LocationKey) {
    guard let report = own[key], report.isDirty, !report.isBusy, case .connected(let session) = client.connection else { return }
    report.isDirty = false
    report.isBusy = true
    if report.isWithdrawn { return remove(key, report, session) }
    if report.session == session { return overwrite(key, report, session) }
    client.createDeep(report.path, report.json, isEphemeral: true) { [weak self] answer in
      guard let self, isCurrent(report, session) else { return }
      if answer.isOK {
        report.session = session
        report.isTakenTold = false
      }
      if answer.code == ZooKeeperCode.nodeExists { return takeOver(key, report, session) }
      ended(key, report, isDone: answer.isOK)
    }
  }

  /// Answers that belong to an earlier connection are not heard: the report has been started anew since.
  private func isCurrent(_ report: Own, _ session: Int64) -> Bool {
    client.connection == .connected(session: session) && report.isBusy
  }

  private func overwrite(_ key: LocationKey, _ report: Own, _ session: Int64) {
    client.set(report.path, report.json, version: nil) { [weak self] answer in
      guard let self, isCurrent(report, session) else { return }
      if answer.code == ZooKeeperCode.noNode {
        // Deleted by somebody, or the data was wiped: make it anew.
        report.session = nil
        report.isDirty = true
      }
      ended(key, report, isDone: answer.isOK || report.isDirty)
    }
  }

  /// There is one already: whose?
  private func takeOver(_ key: LocationKey, _ report: Own, _ session: Int64) {
    client.get(report.path, watch: false) { [weak self] answer in
      guard let self, isCurrent(report, session) else { return }
      if answer.code == ZooKeeperCode.noNode {
        report.isDirty = true
        return ended(key, report, isDone: true)  // gone meanwhile
      }
      guard let stat = answer.stat else { return ended(key, report, isDone: false) }
      if stat.ephemeralOwner == session {
        report.session = session
        report.isDirty = true
        return ended(key, report, isDone: true)
      }
      guard sessions.contains(stat.ephemeralOwner) else {
        if !report.isTakenTold { onTaken?(key) }
        report.isTakenTold = true
        return ended(key, report, isDone: false)
      }
      client.delete(report.path, version: stat.version) { [weak self] _ in
        guard let self, isCurrent(report, session) else { return }
        report.isDirty = true
        ended(key, report, isDone: true)
      }
    }
  }

  private func remove(_ key: LocationKey, _ report: Own, _ session: Int64) {
    guard report.session == session else {
      own[key] = nil
      return
    }
    client.delete(report.path, version: -1) { [weak self] answer in
      guard let self, isCurrent(report, session) else { return }
      report.session = nil
      if report.isWithdrawn { own[key] = nil } else { ended(key, report, isDone: answer.isOK) }
    }
  }

  private func ended(_ key: LocationKey, _ report: Own, isDone: Bool) {
    report.isBusy = false
    if isDone { return write(key) }
    report.isDirty = true
    reactor.schedule(after: Self.retryDelay) { [weak self] _ in self?.write(key) }
  }

  // MARK: Everybody's reports

  func watch(_ key: LocationKey) {
    let path = client.path(StatePaths.nodes(key))
    mirrors[key] = Mirror(path: path)
    mirrorsByPath[path] = key
    list(key)
  }

  func unwatch(_ key: LocationKey) {
    if let mirror = mirrors.removeValue(forKey: key) { mirrorsByPath[mirror.path] = nil }
  }

  func fired(_ path: String) {
    if let key = mirrorsByPath[path] { return list(key) }
    guard let slash = path.lastIndex(of: "/"), let key = mirrorsByPath[String(path[..<slash])], let mirror = mirrors[key] else {
      return
    }
    read(String(path[path.index(after: slash)...]), key, mirror)
  }

  private func list(_ key: LocationKey) {
    guard let mirror = mirrors[key], client.connection.isConnected else { return }
    if mirror.isListing {
      mirror.again = true
      return
    }
    mirror.isListing = true
    client.children(mirror.path, watch: true) { [weak self] answer in
      guard let self, mirrors[key] === mirror else { return }
      if answer.code == ZooKeeperCode.noNode {
        // The parent of all reports is made by whoever looks first.
        return client.makeParents(of: mirror.path + "/x") { [weak self] answer in
          self?.listed(key, mirror, answer.isOK, isParentMade: true)
        }
      }
      if answer.isOK {
        mirror.reports = mirror.reports.filter { answer.names.contains($0.key) }
        for name in answer.names { read(name, key, mirror) }
        if mirror.openCount == 0 { tell(key, mirror) }
      }
      listed(key, mirror, answer.isOK)
    }
  }

  private func listed(_ key: LocationKey, _ mirror: Mirror, _ isOK: Bool, isParentMade: Bool = false) {
    let again = mirror.again || isParentMade
    mirror.isListing = false
    mirror.again = false
    if isOK {
      if again { list(key) }
    } else if client.connection.isConnected {
      reactor.schedule(after: Self.retryDelay) { [weak self] _ in self?.list(key) }
    }
  }

  private func read(_ name: String, _ key: LocationKey, _ mirror: Mirror) {
    mirror.openCount += 1
    client.get("\(mirror.path)/\(name)", watch: true) { [weak self] answer in
      guard let self, mirrors[key] === mirror else { return }
      mirror.openCount -= 1
      if let stat = answer.stat, answer.isOK {
        mirror.reports[name] = RawNodeReport(nodeId: name, json: answer.value, writtenAtMs: stat.modifiedMs)
      } else if answer.code == ZooKeeperCode.noNode {
        mirror.reports[name] = nil
      }
      if mirror.openCount == 0 { tell(key, mirror) }
    }
  }

  private func tell(_ key: LocationKey, _ mirror: Mirror) {
    guard client.connection.isConnected else { return }
    onReports?(key, mirror.reports.values.sorted { $0.nodeId < $1.nodeId })
  }
}
