// ZooKeeper's result codes that decide anything here, and what they mean to a caller of the store.
internal import CZookeeper

enum ZooKeeperCode {
  static let ok = ZOK.rawValue
  static let noNode = ZNONODE.rawValue
  static let nodeExists = ZNODEEXISTS.rawValue
  static let badVersion = ZBADVERSION.rawValue
  /// Not handed to the server: there is no usable session.
  static let invalidState = ZINVALIDSTATE.rawValue
  static let connectionLoss = ZCONNECTIONLOSS.rawValue

  static func text(_ code: Int32) -> String { zerror(code).map { String(cString: $0) } ?? "error \(code)" }

  /// - Parameter isWrite: without an answer a write may have happened, a reading has not.
  static func error(_ code: Int32, isWrite: Bool) -> StateStoreError {
    switch code {
    case noNode: .notFound
    case nodeExists: .alreadyExists
    case badVersion: .versionMismatch
    case invalidState: .unavailable("not connected")
    case ZCONNECTIONLOSS.rawValue, ZOPERATIONTIMEOUT.rawValue, ZSESSIONEXPIRED.rawValue, ZCLOSING.rawValue,
      ZSESSIONMOVED.rawValue:
      isWrite ? .outcomeUnknown(text(code)) : .unavailable(text(code))
    default: .refused(text(code))
    }
  }
}
