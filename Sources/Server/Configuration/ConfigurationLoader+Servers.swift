// The sections that name other servers: Kafka, ZooKeeper, Redis.
//
// Embedded mode needs none of them; then a section that is there is still checked, so that a mistake does not wait for the
// day the mode changes.

internal import Pipeline

extension ConfigurationLoader {
  /// Kafka's own port, for hosts without one.
  static let kafkaPort = 9092
  static let zookeeperPort = 2181
  static let redisPort = 6379
  static let sentinelPort = 26_379

  func kafka(_ section: Section) -> Configuration.Kafka {
    var result = Configuration.Kafka()
    result.hosts = section.hostPorts("hosts", defaultPort: Self.kafkaPort) ?? []
    if result.hosts.isEmpty && !section.has("hosts") && !purpose.embedded && !purpose.roles.isEmpty {
      section.missing("hosts", "unless the daemon runs embedded")
    } else if !result.hosts.isEmpty && purpose.embedded && !purpose.roles.isEmpty {
      section.note("hosts", "with --embedded these brokers are used instead of the one inside; leave the field out for that")
    }
    result.site = section.string("site")
    result.staticMembership = section.bool("staticMembership", default: false)
    result.maxRequestSizeBytes = section.int("maxRequestSize", in: 1000...1_000_000_000, default: result.maxRequestSizeBytes)
    result.maxPollIntervalMs = section.int("maxPollIntervalMs", in: 45_000...86_400_000)
    result.properties = kafkaProperties(section.section("properties"))
    result.topicPrefix = context.environment["KAFKA_TOPIC_PREFIX"] ?? ""
    section.finish(unused: ["backlogMetrics", "compressionType", "requiredAcks"])
    return result
  }

  private func kafkaProperties(_ section: Section) -> [String: Secret] {
    var result: [String: Secret] = [:]
    for name in section.names {
      // `sasl.passwordFile` and `sasl.passwordEnv` give `sasl.password`; librdkafka has no property of that ending.
      let base = ["File", "Env"].first { name.hasSuffix($0) && name.count > $0.count }.map { String(name.dropLast($0.count)) }
      let property = base ?? name
      if KafkaProperties.reservedKeys.contains(property) {
        section.error(name, "is decided by Downbeat and cannot be set")
      } else if let value = section.secret(property) {
        if let problem = Self.problem(property, value) { section.error(name, problem) }
        result[property] = value
      } else if !section.has(name) {
        section.error(name, "must have a value")
      }
    }
    return result
  }

  /// Why librdkafka refuses a property, found by trying it on a configuration object; nil when it takes it.
  private static func problem(_ name: String, _ value: Secret) -> String? {
    do {
      _ = try KafkaProperties(bootstrapServers: "localhost", user: [name: value.reveal()])
      return nil
    } catch {
      switch error {
      case .reserved: return "is decided by Downbeat and cannot be set"
      case .required(_, let value): return "must be \(value), or left out: statuses could be lost or change places"
      case .unknown: return "is no property of librdkafka \(KafkaProperties.libraryVersion)"
      // librdkafka quotes the value in its reason.
      case .invalid(_, let reason): return KafkaProperties.isSecret(name) ? "has a value that librdkafka refuses" : reason
      }
    }
  }

  func zookeeper(_ section: Section) -> Configuration.ZooKeeper? {
    defer { section.finish() }
    let autoCreate = section.bool("autoCreateNamespace", default: false)
    let auth = section.section("auth")
    let credential = digestCredential(auth)
    auth.finish()
    guard let text = section.string("connectionString") else {
      if !purpose.embedded && !purpose.roles.isEmpty && !section.has("connectionString") {
        section.missing("connectionString", "unless the daemon runs embedded")
      }
      return nil
    }
    let slash = text.firstIndex(of: "/") ?? text.endIndex
    var hosts: [HostPort] = []
    for part in text[..<slash].split(separator: ",", omittingEmptySubsequences: false) {
      guard let host = HostPort(part.trimmed, defaultPort: Self.zookeeperPort) else {
        section.error("connectionString", "“\(part.trimmed)” is not a host and port")
        return nil
      }
      hosts.append(host)
    }
    var chroot = String(text[slash...])
    if chroot == "/" { chroot = "" }
    for part in chroot.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      if let problem = NodeName.problem(String(part), bytesMax: 1024) {
        section.error("connectionString", "a part of the path “\(chroot)” \(problem)")
        return nil
      }
    }
    return Configuration.ZooKeeper(hosts: hosts, chroot: chroot, autoCreateNamespace: autoCreate, digestCredential: credential)
  }

  private func digestCredential(_ auth: Section) -> Secret? {
    enum Scheme: String, CaseIterable { case digest }
    guard auth.isPresent else { return nil }
    if auth.choice("scheme", Scheme.self) == nil && !auth.has("scheme") { auth.missing("scheme") }
    guard let credential = auth.secret("credential") else {
      if !["credential", "credentialFile", "credentialEnv"].contains(where: auth.has) { auth.missing("credentialFile") }
      return nil
    }
    if !credential.reveal().dropFirst().contains(":") { auth.error("", "the credential must have the form user:password") }
    return credential
  }

  func redis(_ section: Section) -> Configuration.Redis? {
    defer { section.finish() }
    let password = section.secret("password")
    let name = section.string("name", default: "backbeat")
    let sentinelPassword = section.secret("sentinelPassword")
    let hasSentinels = section.has("sentinels")
    if hasSentinels && (section.has("host") || section.has("port")) {
      section.error("sentinels", "cannot be given together with host and port")
      return nil
    }
    if hasSentinels {
      let sentinels = sentinels(section)
      if sentinels.isEmpty { return nil }
      return Configuration.Redis(endpoint: .sentinels(sentinels, name: name, password: sentinelPassword), password: password)
    }
    guard section.has("host") || section.has("port") else {
      if !purpose.embedded && !purpose.roles.isEmpty {
        section.missing("host", "(or sentinels) unless the daemon runs embedded")
      }
      return nil
    }
    return section.hostAndPort(defaultPort: Self.redisPort).map { Configuration.Redis(endpoint: .host($0), password: password) }
  }

  /// Backbeat takes `"h:p,h:p"` and `[{host, port}]`.
  private func sentinels(_ section: Section) -> [HostPort] {
    guard section.isList("sentinels") else {
      return section.hostPorts("sentinels", defaultPort: Self.sentinelPort) ?? []
    }
    return section.sections("sentinels").compactMap { item in
      defer { item.finish() }
      return item.hostAndPort(defaultPort: Self.sentinelPort)
    }
  }
}
