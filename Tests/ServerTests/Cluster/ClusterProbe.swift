// What the servers themselves hold, asked by the test with sessions of its own: stored states and their versions, committed offsets.
import Logging
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class ClusterProbe: ConsumerDelegate, StateStoreObserver {
  private let reactor: Reactor
  private let store: ZooKeeperStore
  private var consumer: Consumer!
  private var isClosed = false
  private let key: LocationKey

  init(_ cluster: Cluster, service: ControlledService = .crr, location: String = "east") throws {
    reactor = try Reactor(name: "probe")
    key = LocationKey(service, location)
    store = ZooKeeperStore(
      reactor: reactor,
      settings: ZooKeeperSettings(connectionString: cluster.servers.zookeeperAddress + cluster.chroot, createsChroot: true),
      nodeId: "probe")
    let properties = try KafkaProperties(bootstrapServers: cluster.servers.kafkaAddress)
    // In the group's name, but never a member of it.
    consumer = try Consumer(
      ConsumerConfiguration(properties: properties, groupId: "\(cluster.topic)-group-\(location)", topic: cluster.topic),
      on: reactor, delegate: self)
    store.start(observer: self)
    #expect(reactor.runUntil(within: Cluster.patience) { store.connection.isConnected })
  }

  /// The stored state; nil: none. Asked again where the connection was lost: an idle session is, when the server's disk takes
  /// a third of its time-out for one write, while the nodes' busy ones live on.
  func entry() throws -> StoredEntry? {
    var found: Result<StoredEntry?, StateStoreError>?
    let isAnswered = eventually(within: Cluster.patience) {
      guard reactor.runUntil(within: Cluster.patience, { store.connection.isConnected }) else { return false }
      found = nil
      store.read(key) { found = $0 }
      guard reactor.runUntil(within: Cluster.patience, { found != nil }) else { return false }
      if case .failure(.unavailable) = found { return false }
      return true
    }
    #expect(isAnswered)
    return try found?.get()
  }

  func text() throws -> String? { try entry().map { String(decoding: $0.json, as: UTF8.self) } }

  /// As by hand: over whatever is there.
  func put(_ json: String) throws {
    var found: Result<StateVersion, StateStoreError>?
    if let version = try entry()?.version {
      store.replace(key, json: Array(json.utf8), expecting: version) { found = $0 }
    } else {
      store.create(key, json: Array(json.utf8)) { found = $0 }
    }
    #expect(reactor.runUntil(within: Cluster.patience) { found != nil })
    _ = try found?.get()
  }

  /// Committed offsets and log ends of all partitions together.
  func offsets() throws -> (committed: Int, end: Int) {
    var found: Result<[PartitionSurvey], KafkaError>?
    consumer.survey { found = $0 }
    #expect(reactor.runUntil(within: Cluster.patience) { found != nil })
    let partitions = try found?.get() ?? []
    return (
      partitions.reduce(0) { $0 + Int($1.committed?.value ?? 0) }, partitions.reduce(0) { $0 + Int($1.high.value) }
    )
  }

  func close() {
    var isStopped = false
    store.stop { isStopped = true }
    consumer.close()
    #expect(reactor.runUntil(within: Cluster.patience) { isStopped && isClosed })
  }

  // MARK: Nothing of this is waited for

  func consumerMayTake(_ consumer: Consumer) -> Int { 0 }
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {}
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {}
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {}
  func consumer(_ consumer: Consumer, committed result: CommitResult) {}
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {}
  func consumer(_ consumer: Consumer, failed error: KafkaError) {}
  func consumerDidClose(_ consumer: Consumer) { isClosed = true }
  func stateStore(_ store: any StateStore, connectionBecame connection: StateStoreConnection) {}
  func stateStore(_ store: any StateStore, observed entry: StoredEntry?, of key: LocationKey) {}
  func stateStore(_ store: any StateStore, cannotRead key: LocationKey, because error: StateStoreError) {}
  func stateStore(_ store: any StateStore, reports: [RawNodeReport], of key: LocationKey) {}
  func stateStore(_ store: any StateStore, nodeIdTakenFor key: LocationKey) {}
}
