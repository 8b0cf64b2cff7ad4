// One run: the script of faults and operators, the loop, and the two endings: paused, then resumed.

import PipelineCore
import TestSupport

extension World {
  /// Runs the schedule to its end. - Returns: what was broken, nil if nothing was.
  func run() -> String? {
    script()
    loop(until: shape.length)
    endFaults()
    let ending = random.chance(50)
    if ending { settle(paused: true) }
    if violation == nil { settle(paused: false) }
    return violation
  }

  private func script() {
    for node in nodes.indices { schedule(.start, after: node == 0 ? 0 : Int64(random.below(Int(shape.length))), node: node) }
    for _ in 0..<shape.entries { schedule(.append, after: random.chance(60) ? 0 : Int64(random.below(Int(shape.length)))) }
    var at: Int64 = 0
    for _ in 0..<shape.operations {
      // Often close together: the second meets what the first has begun.
      at = random.chance(50) ? min(at + Int64(random.below(80)), shape.length - 1) : Int64(random.below(Int(shape.length)))
      let node = random.below(nodes.count)
      switch random.below(shape.isCalm ? 9 : 17) {
      case 0...4: schedule(.operate, after: at, a: random.below(4), b: random.below(600))
      case 5: schedule(.stop, after: at, node: node, a: random.below(400))
      case 6: schedule(.start, after: at, node: node)
      case 7, 8: schedule(.disconnect, after: at, node: node, a: random.below(1500))
      case 9, 10: schedule(.kill, after: at, node: node, a: random.below(800))
      case 11, 12: schedule(.freeze, after: at, node: node, a: random.below(1200))
      case 13, 14: schedule(.rewind, after: at, node: node, a: random.below(shape.partitions))
      case 15: schedule(.outageBegins, after: at, a: random.below(700))
      default: schedule(.sessionExpires, after: at, node: node, a: -1)
      }
    }
  }

  /// Carries out events up to a time.
  private func loop(until end: Int64, _ isDone: () -> Bool = { false }) {
    var count = 0
    while violation == nil, !isDone(), let event = events.pop() {
      if event.at > end {
        events.push(event)
        break
      }
      now = max(now, event.at)
      count += 1
      if count > 60_000 { return fail("no end of events") }
      carryOut(event)
    }
    if violation == nil, !isDone() { now = max(now, end) }
  }

  private func carryOut(_ event: SimEvent) {
    guard event.kind.rawValue > SimEvent.Kind.heartbeat.rawValue else { return deliver(event) }
    switch event.kind {
    case .joinArrives: if isCurrent(event) { group.join(self, node: event.node, life: event.b, membership: event.a) }
    case .leaveArrives: group.remove(self, node: event.node, life: event.b)
    case .commitArrives: commitArrives(event)
    case .produceArrives: nodes[event.node].produceArrives(self, event.a, life: event.b)
    case .rebalanceDeadline: group.rebalanceDeadline(self, number: event.a)
    case .sessionExpires: sessionExpires(event)
    case .start: nodes[event.node].start(self)
    case .append: append()
    case .operate: operate(event)
    case .stop: nodes[event.node].tell(self, .stopRequested)
    case .kill:
      nodes[event.node].kill(self)
      schedule(.start, after: Int64(event.a), node: event.node)
    case .freeze: nodes[event.node].frozenUntil = max(nodes[event.node].frozenUntil, now + Int64(event.a))
    case .disconnect:
      nodes[event.node].isConnected = false
      schedule(.reconnect, after: Int64(event.a), node: event.node)
    case .reconnect:
      nodes[event.node].isConnected = true
      if nodes[event.node].isAlive { nodes[event.node].readState(self, after: latency(20)) }
    case .outageBegins: brokerDownUntil = now + Int64(event.a)
    default: break
    }
  }

  private func deliver(_ event: SimEvent) {
    let node = nodes[event.node]
    guard node.isAlive, event.life == 0 || event.life == node.life else { return }
    // A stopped process handles nothing; all of it is there when it goes on.
    if node.frozenUntil > now {
      schedule(event.kind, after: node.frozenUntil - now, node: event.node, life: event.life, a: event.a, b: event.b)
      if node.frozenUntil - now > shape.sessionTimeoutMs, group.isMember(node) {
        schedule(.sessionExpires, after: shape.sessionTimeoutMs, node: event.node, a: node.life)
      }
      return
    }
    node.receive(self, event)
  }

  private func isCurrent(_ event: SimEvent) -> Bool {
    nodes[event.node].isAlive && nodes[event.node].life == event.b
  }

  /// `a`: the life that ends; -1: whichever there is (a session lost for no reason to be seen).
  private func sessionExpires(_ event: SimEvent) {
    let node = nodes[event.node]
    let life = event.a < 0 ? node.life : event.a
    // Alive again in the same life: heartbeats were sent in time.
    if event.a >= 0, node.isAlive, node.life == life, node.frozenUntil <= now { return }
    guard group.members.contains(where: { $0.node == event.node && $0.life == life }) else { return }
    note("session of node \(event.node) expires")
    group.remove(self, node: event.node, life: life)
    if node.isAlive, node.life == life { node.fromBroker(self, .lostNotice, life: life, a: node.memberGeneration) }
  }

  private func commitArrives(_ event: SimEvent) {
    let commit = group.commits[event.a]
    let ok = !fault(shape.refusals) && group.accept(self, commit)
    note("commit of node \(commit.node) \(commit.offsets) \(ok)")
    // The answer may be lost on its way.
    if fault(5) { return }
    nodes[commit.node].fromBroker(self, .commitAnswer, life: commit.life, a: event.a, b: ok ? 1 : 0)
  }

  private func operate(_ event: SimEvent) {
    switch event.a {
    case 0: control.apply(self, .pause)
    case 1: control.apply(self, .resume)
    case 2: control.apply(self, .schedule(atMs: now + Int64(event.b)))
    default: control.apply(self, .unschedule)
    }
  }

  // MARK: After the faults

  private func endFaults() {
    faultsEnded = true
    brokerDownUntil = 0
    appendAll()
    for node in nodes {
      node.isConnected = true
      if node.index == 0 || random.chance(70) { schedule(.start, after: 0, node: node.index) }
    }
    note("faults end")
  }

  /// The last order given must become true everywhere, and stay true.
  private func settle(paused: Bool) {
    control.apply(self, .unschedule)
    control.apply(self, paused ? .pause : .resume)
    let bound = now + 90_000
    loop(until: bound) { paused ? self.isPausedEverywhere : self.isAllDone }
    guard violation == nil else { return }
    guard paused ? isPausedEverywhere : isAllDone else { return fail(unfinished(paused: paused)) }
    guard paused else { return }
    // What a node that died had sent may still arrive. Then nothing moves, however long it lasts.
    loop(until: now + 1000)
    let before = (group.committed, log.map { $0.map(\.runs) })
    loop(until: now + 3000)
    if violation == nil, before != (group.committed, log.map { $0.map(\.runs) }) { fail("something moved while paused") }
  }

  private var isPausedEverywhere: Bool {
    nodes.allSatisfy { !$0.isAlive || ($0.hasReportedPause(control.version) && $0.location.effective == .disabled) }
  }

  private var isAllDone: Bool {
    guard nodes.allSatisfy({ !$0.isAlive || $0.location.effective == .enabled }) else { return false }
    for partition in log.indices {
      guard let last = log[partition].last else { continue }
      if group.committed[partition] != last.offset + 1 { return false }
    }
    return log.allSatisfy { $0.allSatisfy(\.isSettled) }
  }

  private func unfinished(paused: Bool) -> String {
    let states = nodes.map { "\($0.index):\($0.isAlive ? "\($0.location.state) \($0.rebalance.state)" : "down")" }
    let left = log.joined().count { !$0.isSettled }
    return "no \(paused ? "pause" : "end") within 90 s: \(left) entries left, committed \(group.committed), nodes \(states), "
      + "members \(group.members.map(\.node)), rebalancing \(group.isRebalancing)"
  }
}

private func != (a: ([Int64], [[Int]]), b: ([Int64], [[Int]])) -> Bool { a.0 != b.0 || a.1 != b.1 }
