import Pipeline

/// Remembers what a store told, newest last.
final class RecordingStoreObserver: StateStoreObserver {
  var connections: [StateStoreConnection] = []
  var entries: [LocationKey: [StoredEntry?]] = [:]
  var reports: [LocationKey: [[RawNodeReport]]] = [:]
  var failures: [StateStoreError] = []
  var takenKeys: [LocationKey] = []

  func stateStore(_ store: any StateStore, connectionBecame connection: StateStoreConnection) { connections.append(connection) }
  func stateStore(_ store: any StateStore, observed entry: StoredEntry?, of key: LocationKey) {
    entries[key, default: []].append(entry)
  }
  func stateStore(_ store: any StateStore, cannotRead key: LocationKey, because error: StateStoreError) { failures.append(error) }
  func stateStore(_ store: any StateStore, reports: [RawNodeReport], of key: LocationKey) {
    self.reports[key, default: []].append(reports)
  }
  func stateStore(_ store: any StateStore, nodeIdTakenFor key: LocationKey) { takenKeys.append(key) }

  func lastText(_ key: LocationKey) -> String? {
    guard let entry = entries[key]?.last, let entry else { return nil }
    return String(decoding: entry.json, as: UTF8.self)
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
