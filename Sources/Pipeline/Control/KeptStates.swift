// The last known state of every location on this node's own disk: it answers reads while the store is away, and it is what a
// stored node that vanished is made again from. Never what the node acts on at start: that takes the store.
//
// Writes for one location are not queued behind each other: the newest waits, those between are left out.
public import Reactor

public final class KeptStates {
  private let calls: BlockingCalls
  private let root: String
  private var isWriting: Set<LocationKey> = []
  private var waiting: [LocationKey: StoredEntry] = [:]
  /// Told what could not be written or read, once for each location until it works again.
  var onFailure: ((LocationKey, String) -> Void)?
  private var failing: Set<LocationKey> = []
  private var onStop: (() -> Void)?

  /// - Parameter directory: made when first written to; a location's file is `<directory>/<service>/<location>.state`.
  public convenience init(reactor: Reactor, directory: String) {
    self.init(calls: BlockingCalls(reactor: reactor, name: "db-kept"), directory: directory)
  }

  init(calls: BlockingCalls, directory: String) {
    self.calls = calls
    root = directory
  }

  /// Answers nil when nothing was kept, or it cannot be read.
  func load(_ key: LocationKey, _ completion: @escaping (StateFile.Content?) -> Void) {
    let file = file(key)
    let accepted = calls.run(
      { () -> Result<StateFile.Content?, Errno> in
        do throws(Errno) { return .success(try file.read()) } catch { return .failure(error) }
      },
      then: { [weak self] result in
        switch result {
        case .success(let content): completion(content)
        case .failure(let error):
          self?.failed(key, error.description)
          completion(nil)
        }
      })
    if !accepted { completion(nil) }
  }

  func keep(_ entry: StoredEntry, of key: LocationKey) {
    guard isWriting.insert(key).inserted else {
      waiting[key] = entry
      return
    }
    let file = file(key)
    let accepted = calls.run(
      { () -> Errno? in
        do throws(Errno) {
          try file.write(StateFile.Content(entry: entry, savedAtMs: WallClock.nowMs()))
          return nil
        } catch {
          return error
        }
      },
      then: { [weak self] error in
        guard let self else { return }
        if let error { failed(key, error.description) } else { failing.remove(key) }
        isWriting.remove(key)
        if let next = waiting.removeValue(forKey: key) { keep(next, of: key) }
        stopIfIdle()
      })
    if !accepted {
      isWriting.remove(key)
      failed(key, "too many operations are waiting")
    }
  }

  /// Calls back when everything given has been written.
  func stop(_ completion: @escaping () -> Void) {
    onStop = completion
    stopIfIdle()
  }

  private func stopIfIdle() {
    guard isWriting.isEmpty, let completion = onStop else { return }
    onStop = nil
    calls.stop(completion)
  }

  private func failed(_ key: LocationKey, _ why: String) {
    if failing.insert(key).inserted { onFailure?(key, why) }
  }

  private func file(_ key: LocationKey) -> StateFile {
    StateFile(directory: "\(root)/\(key.service.rawValue)", name: key.location)
  }
}
