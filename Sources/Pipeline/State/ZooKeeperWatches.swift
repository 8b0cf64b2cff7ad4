// Follows the state nodes: reads each with a watch, reads again when the watch fires, and when it is asked to.
//
// Invariant: at most one reading of a node is on its way; whatever asks for one meanwhile makes one more follow it, because the
// one on its way may have been answered before what it is asked for happened.

final class ZooKeeperWatches {
  private struct Reading {
    var again = false
    var isSyncNext = false
  }

  private let client: ZooKeeperClient
  private var keys: [LocationKey: String] = [:]
  private var keysByPath: [String: LocationKey] = [:]
  private var readings: [LocationKey: Reading] = [:]

  var onEntry: ((LocationKey, Result<StoredEntry?, StateStoreError>) -> Void)?

  init(client: ZooKeeperClient) { self.client = client }

  func watch(_ key: LocationKey) {
    let path = client.path(StatePaths.state(key))
    keys[key] = path
    keysByPath[path] = key
    refresh(key, sync: true)
  }

  /// Its watch stays set on the server and is not listened to.
  func unwatch(_ key: LocationKey) {
    if let path = keys.removeValue(forKey: key) { keysByPath[path] = nil }
  }

  func connectionBecame(_ connection: StateStoreConnection) {
    // Open readings have been answered with a loss, or will be.
    guard connection.isConnected else { return }
    for key in keys.keys { refresh(key, sync: true) }
  }

  func fired(_ path: String) {
    if let key = keysByPath[path] { refresh(key, sync: false) }
  }

  /// - Parameter sync: nothing older than what is committed now will do.
  func refresh(_ key: LocationKey, sync: Bool) {
    guard let path = keys[key], client.connection.isConnected else { return }
    if readings[key] != nil {
      readings[key]?.again = true
      if sync { readings[key]?.isSyncNext = true }
      return
    }
    readings[key] = Reading()
    if sync { client.sync(path) { _ in } }
    get(key, path)
  }

  private func get(_ key: LocationKey, _ path: String) {
    client.get(path, watch: true) { [weak self] answer in
      guard answer.code == ZooKeeperCode.noNode else {
        self?.ended(key, answer.entry)
        return
      }
      // A reading of what is not there sets no watch; asking whether it is there does.
      self?.client.exists(path, watch: true) { [weak self] answer in
        if answer.isOK { self?.get(key, path) } else { self?.ended(key, answer.entry) }
      }
    }
  }

  private func ended(_ key: LocationKey, _ result: Result<StoredEntry?, StateStoreError>) {
    let reading = readings.removeValue(forKey: key)
    guard keys[key] != nil else { return }
    switch result {
    case .success: onEntry?(key, result)
    case .failure(.unavailable): break  // the connection is lost; the next one reads
    case .failure: onEntry?(key, result)
    }
    if reading?.again == true { refresh(key, sync: reading?.isSyncNext ?? false) }
  }
}
