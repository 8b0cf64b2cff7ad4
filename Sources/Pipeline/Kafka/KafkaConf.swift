// A librdkafka configuration under construction. One owner: `rd_kafka_new` takes it over, else it is freed here.
internal import CRdkafka

struct KafkaConf: ~Copyable {
  static let errorTextBytesMax = 512

  let raw: OpaquePointer

  init() {
    guard let conf = rd_kafka_conf_new() else { preconditionFailure("out of memory") }
    raw = conf
  }

  deinit { rd_kafka_conf_destroy(raw) }

  /// Gives the configuration to librdkafka.
  consuming func release() -> OpaquePointer {
    let conf = raw
    discard self
    return conf
  }

  /// - Errors: the key is unknown, or the value is refused; a secret's value never gets into the text.
  func set(_ key: String, _ value: String) throws(KafkaPropertyError) {
    var text = [CChar](repeating: 0, count: Self.errorTextBytesMax)
    switch rd_kafka_conf_set(raw, key, value, &text, text.count) {
    case RD_KAFKA_CONF_OK: return
    case RD_KAFKA_CONF_UNKNOWN: throw .unknown(key: key)
    default: throw .invalid(key: key, reason: KafkaProperties.isSecret(key) ? "value refused" : String(nulTerminated: text))
    }
  }

  /// For keys and values of our own making: wrong ones are a programmer's error.
  func setOwn(_ key: String, _ value: String) {
    do throws(KafkaPropertyError) { try set(key, value) } catch { preconditionFailure("\(error)") }
  }

  /// The value now in force, defaults included.
  func get(_ key: String) -> String? {
    var size = 0
    guard rd_kafka_conf_get(raw, key, nil, &size) == RD_KAFKA_CONF_OK, size > 0 else { return nil }
    var text = [CChar](repeating: 0, count: size)
    guard rd_kafka_conf_get(raw, key, &text, &size) == RD_KAFKA_CONF_OK else { return nil }
    return String(nulTerminated: text)
  }
}

extension String {
  /// The text before the first NUL of a C buffer.
  init(nulTerminated text: [CChar]) {
    self.init(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
