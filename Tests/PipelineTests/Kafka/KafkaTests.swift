// All tests that run a broker, one after the other: each has some ten threads and measures time-outs in seconds.
import Testing

@Suite(.serialized) enum KafkaTests {}
