import Pipeline
import TestSupport

extension RedisServer {
  var endpoint: RedisEndpoint { RedisEndpoint(host: "127.0.0.1", port: port) }
}
