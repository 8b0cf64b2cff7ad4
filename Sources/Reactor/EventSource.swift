// What the reactor calls, and the small values it is told with. Everything here lives on the reactor's thread.
internal import CLinux
internal import Glibc

/// Names one registration. Slot and generation together: an event queued for a closed registration cannot reach
/// whoever got the slot, or the descriptor's number, afterwards.
public struct SourceToken: Hashable, Sendable {
  let rawValue: UInt64

  init(slot: Int, generation: UInt32) { rawValue = UInt64(generation) << 32 | UInt64(UInt32(slot)) }
  init(rawValue: UInt64) { self.rawValue = rawValue }

  var slot: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }
  var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// What to be told of. Hang-up and error are always told.
public struct Interest: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let read = Interest(rawValue: 1)
  public static let write = Interest(rawValue: 2)
  /// Told of each change once, not as long as it lasts: who is told goes on until the call would block.
  public static let edge = Interest(rawValue: 4)

  var epollEvents: UInt32 {
    var events: UInt32 = 0
    if contains(.read) { events |= EPOLLIN.rawValue | EPOLLRDHUP.rawValue }
    if contains(.write) { events |= EPOLLOUT.rawValue }
    if contains(.edge) { events |= EPOLLET.rawValue }
    return events
  }
}

/// What epoll reported (again until it is dealt with, unless the interest was `.edge`).
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
  public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
  public static let hangup = Readiness(rawValue: EPOLLHUP.rawValue)
  public static let error = Readiness(rawValue: EPOLLERR.rawValue)
  /// The peer has shut down its writing side; what it sent before can still be read.
  public static let peerClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
}

/// The answer of a ready turn.
public enum Turn: Sendable {
  /// Nothing left: off the ready list.
  case idle
  /// More to do: listed again for the next tick, after everybody else had a turn.
  case again
}

/// Something the reactor multiplexes. Not Sendable: lives and dies on the reactor's thread.
public protocol EventSource: AnyObject {
  /// Phase 1. Read, parse, mark ready; leave long work to `runTurn`.
  func reactor(_ reactor: Reactor, didReceive readiness: Readiness)
  /// Phase 3, once after each `markReady`: bounded work, so that no source can starve the others.
  func runTurn(_ reactor: Reactor) -> Turn
  /// Phase 5, once after `scheduleClose`: the token is dead already; close the descriptor here.
  func didClose(_ reactor: Reactor)
}

extension EventSource {
  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {}
  public func runTurn(_ reactor: Reactor) -> Turn { .idle }
  public func didClose(_ reactor: Reactor) {}
}

/// Fired by an allocation-free timer.
public protocol TimerTarget: AnyObject {
  /// - Parameter payload: as given to `schedule(at:target:payload:)`.
  func timerFired(_ reactor: Reactor, payload: UInt64)
}
