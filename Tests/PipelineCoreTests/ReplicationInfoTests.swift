// Aggregation over sites and the status processor's decisions (upstream rows 99 to 105).

import PipelineCore
import Testing

private func info(_ sites: [(String, ReplicationStatus)]) -> ReplicationInfo {
  var info = ReplicationInfo(nil)
  for (site, status) in sites { info.set(site, to: status, versionId: "") }
  return info
}

@Test func theWholeFollowsFromItsSites() {
  let rows: [([ReplicationStatus], ReplicationStatus)] = [
    ([.pending], .pending), ([.pending, .pending], .pending), ([.pending, .completed], .processing), ([.completed], .completed),
    ([.completed, .completed], .completed), ([.failed, .pending], .failed), ([.completed, .failed], .failed), ([], .completed),
    ([.replica, .completed], .completed), ([.processing, .completed], .processing),
  ]
  for (sites, whole) in rows { #expect(ReplicationStatus.overall(sites) == whole, "\(sites)") }
}

@Test func eachChangeOfASiteGivesItsWhole() {
  var twoSites = info([("a", .pending), ("b", .pending)])
  #expect(twoSites.status == .pending)
  twoSites.set("a", to: .completed, versionId: "v1")
  #expect(twoSites.status == .processing)
  #expect(twoSites.siteVersionId("a") == "v1")
  twoSites.set("b", to: .completed)
  #expect(twoSites.status == .completed)
  twoSites.set("b", to: .failed)
  #expect(twoSites.status == .failed)
  #expect(twoSites.siteStatus("a") == .completed)
  var replica = info([("a", .pending)])
  replica.setReplica("a")
  #expect(replica.status == .replica)
  #expect(replica.siteStatus("a") == .replica)
}

@Test func aRetryIsOfOneSiteAndPending() {
  var retried = info([("a", .completed), ("b", .failed)])
  retried.setRetry("b")
  #expect(retried.sites == ["b"])
  #expect(retried.status == .pending)
  #expect(retried.json["storageClass"]?.string == "b")
}

@Test func unknownMembersAndTheirOrderAreKept() throws {
  let text = #"{"new":[1,{"x":null}],"status":"PENDING","backends":[{"more":1e3,"site":"a","status":"PENDING"}],"isNFS":null}"#
  var kept = ReplicationInfo(try JSONValue(parsing: text))
  kept.set("a", to: .completed)
  #expect(kept.json.description == text.replacing("PENDING", with: "COMPLETED"))
}

@Test func aCompletedSiteIsFinal() {
  let off = ReplayPlan([])
  for reported in [ReplicationStatus.completed, .failed, .pending] {
    #expect(StatusDecision.decide(reported, current: .completed, replayCount: nil, plan: off) == .ignore)
  }
  #expect(StatusDecision.decide(.completed, current: .pending, replayCount: nil, plan: off) == .write(.completed))
  #expect(StatusDecision.decide(.pending, current: .failed, replayCount: nil, plan: off) == .write(.pending))
  #expect(StatusDecision.decide(.replica, current: .pending, replayCount: nil, plan: off) == nil)
}

@Test func anNFSObjectThatChangedSinceIsPendingAgain() {
  let off = ReplayPlan([])
  let changed = StatusDecision.decide(.completed, current: .pending, replayCount: nil, plan: off, isChangedNFS: true)
  #expect(changed == .write(.pending))
}

@Test func replaysWalkTheTopicsInTheirOrderAndEnd() throws {
  let plan = ReplayPlan([("A", 5), ("B", 2)])
  #expect(plan.countdown == ["B", "B", "A", "A", "A", "A", "A"])
  #expect(plan.topicNames == ["A", "B"])
  var count: Int64?
  var walked: [String] = []
  while case .replay(let topic, let left) = StatusDecision.decide(.failed, current: .pending, replayCount: count, plan: plan) {
    walked.append(topic)
    count = left
  }
  #expect(walked == ["A", "A", "A", "A", "A", "B", "B"])
  #expect(StatusDecision.decide(.failed, current: .pending, replayCount: 0, plan: plan) == .fail)
  #expect(StatusDecision.decide(.failed, current: .pending, replayCount: 99, plan: plan) == .replay(topic: "A", replayCount: 6))
  let off = ReplayPlan([])
  #expect(off.isOff)
  #expect(off.topicNames == [])
  #expect(StatusDecision.decide(.failed, current: .pending, replayCount: nil, plan: off) == .fail)
  #expect(StatusDecision.decide(.failed, current: .pending, replayCount: 3, plan: off) == .fail)
}
