import Pipeline
import Testing

@Suite struct ControlChannelsTests {
  let channels = ControlChannels()

  @Test func channelIsTopicDashLocation() {
    #expect(channels.channel(LocationKey(.crr, "aws-east")) == "backbeat-replication-aws-east")
    #expect(channels.channel(LocationKey(.ingestion, "ring-1")) == "backbeat-ingestion-ring-1")
    #expect(channels.channel(LocationKey(.lifecycle, "cold")) == nil)
  }

  @Test func channelLeadsBackToItsLocation() {
    #expect(channels.key(channel: "backbeat-replication-a-b") == LocationKey(.crr, "a-b"))
    #expect(channels.key(channel: "backbeat-ingestion-x") == LocationKey(.ingestion, "x"))
    #expect(channels.key(channel: "backbeat-replication-") == nil)
    #expect(channels.key(channel: "backbeat-replication") == nil)
    #expect(channels.key(channel: "other") == nil)
  }

  @Test func ofTwoTopicsOneThePrefixOfTheOtherTheLongerWins() {
    let nested = ControlChannels(replicationTopic: "bb", ingestionTopic: "bb-in")
    #expect(nested.key(channel: "bb-in-x") == LocationKey(.ingestion, "x"))
    #expect(nested.key(channel: "bb-x") == LocationKey(.crr, "x"))
  }

  /// Backbeat's ingestion listens to a pattern: what is not for it must not match.
  @Test func announcementsAreOutsideOfBackbeatsNames() throws {
    let channel = try #require(channels.announcements(.ingestion))
    #expect(channel == "downbeat:announcements:backbeat-ingestion")
    #expect(channels.key(channel: channel) == nil && channels.announcements(.lifecycle) == nil)
  }

  @Test func everyChannelIsAPrefix() {
    #expect(channels.everyChannel(.ingestion) == .prefix("backbeat-ingestion-"))
    #expect(channels.everyChannel(.lifecycle) == nil)
  }
}
