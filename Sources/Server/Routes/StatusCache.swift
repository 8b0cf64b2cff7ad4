// Rendered answers of `status` and `resume`, kept until the control plane's revision changes. What is shown a thousand times
// a second is rendered once; an entry can never be older than the state it was rendered from, because the revision is
// compared at every use.
internal import HTTP
internal import Pipeline

/// Which of the two views of a desired state.
enum StateView: Int, CaseIterable, Sendable {
  /// enabled or disabled
  case status
  /// the scheduled resume or none
  case schedules
}

struct StatusCache {
  private struct Entries {
    var all: Response?
    /// By location; bounded by the configured ones, since only they lead here.
    var one: [String: Response] = [:]
  }

  private var revision: UInt64?
  private var entries = [Entries](repeating: Entries(), count: StateView.allCases.count * ControlledService.allCases.count)

  /// - Parameter revision: the control plane's, now.
  mutating func response(_ view: StateView, _ service: ControlledService, _ choice: LocationChoice, revision: UInt64) -> Response? {
    guard revision == self.revision else {
      for index in entries.indices { entries[index] = Entries() }
      self.revision = revision
      return nil
    }
    let index = Self.index(view, service)
    switch choice {
    case .all: return entries[index].all
    case .one(let location): return entries[index].one[location]
    }
  }

  /// - Precondition: rendered from the state of the revision last asked with.
  mutating func keep(_ response: Response, _ view: StateView, _ service: ControlledService, _ choice: LocationChoice) {
    let index = Self.index(view, service)
    switch choice {
    case .all: entries[index].all = response
    case .one(let location): entries[index].one[location] = response
    }
  }

  private static func index(_ view: StateView, _ service: ControlledService) -> Int {
    let place: Int
    switch service {
    case .crr: place = 0
    case .ingestion: place = 1
    case .lifecycle: place = 2
    }
    return view.rawValue * ControlledService.allCases.count + place
  }
}
