// The source and the bootstrap list: one reader for each type of place.

extension ReplicationReader {
  // MARK: Bootstrap list

  /// A location and the section it was read from, for remarks that need more than one location to be seen.
  typealias Entry = (location: Configuration.Location, item: Section)

  func locations(_ destination: Section) -> [Entry] {
    var result: [Entry] = []
    var firstSeen: [String: Position] = [:]
    var defaultSite: String?
    for item in destination.sections("bootstrapList") {
      guard let location = location(item) else { continue }
      if let first = firstSeen[location.site] {
        item.error("site", "“\(location.site)” is already the name of the location at line \(first.line)")
        continue
      }
      firstSeen[location.site] = item.position(of: "site")
      if location.isDefault, let defaultSite {
        item.error("default", "“\(defaultSite)” is the default already: there can be one")
      }
      if location.isDefault { defaultSite = defaultSite ?? location.site }
      result.append((location, item))
    }
    return result
  }

  private func location(_ item: Section) -> Configuration.Location? {
    let isDisabled = item.bool("disabled", default: false)
    let isDefault = item.bool("default", default: false)
    let site = item.string("site")
    if site == nil && !item.has("site") { item.missing("site") }
    if let site, let problem = NodeName.locationProblem(site) { item.error("site", problem) }
    guard let type = locationType(item), let site else { return nil }
    if isDisabled {
      return Configuration.Location(site: site, type: type, isDefault: isDefault, service: .disabled)
    }
    guard purpose.capabilities.locationTypes.contains(type) else {
      item.error(
        item.has("type") ? "type" : "servers",
        "this build does not serve locations of type “\(type.rawValue)” (write `disabled: true` to keep “\(site)” unserved)")
      return nil
    }
    defer { item.finish() }
    return target(item, type: type).map {
      Configuration.Location(site: site, type: type, isDefault: isDefault, service: .served($0))
    }
  }

  private func locationType(_ item: Section) -> LocationType? {
    if item.has("type") { return item.choice("type", LocationType.self) }
    if item.has("servers") { return .cloudserver }
    item.missing("type", "(an entry without one must have servers)")
    return nil
  }

  private func target(_ item: Section, type: LocationType) -> Configuration.Target? {
    switch type {
    case .file: return fileTarget(item)
    case .s3: return s3Target(item)
    case .noop: return noopTarget(item)
    case .cloudserver: return cloudServerTarget(item)
    case .awsS3, .azure, .gcp: return .throughSource
    }
  }

  private func noopTarget(_ item: Section) -> Configuration.Target {
    let taskMs = item.int("taskMs", in: 0...3_600_000, default: 0)
    return .noop(.init(taskMs: taskMs, traceFile: item.has("traceFile") ? item.absolutePath("traceFile") : nil))
  }

  private func fileTarget(_ item: Section) -> Configuration.Target? {
    let bucketMatch = item.bool("bucketMatch", default: false)
    guard let path = item.absolutePath("path") else {
      if !item.has("path") { item.missing("path", "by a location of type file") }
      return nil
    }
    return .file(.init(path: path, bucketMatch: bucketMatch))
  }

  private func s3Target(_ item: Section) -> Configuration.Target? {
    let bucketMatch = item.bool("bucketMatch", default: false)
    let storageClass = item.string("storageClass")
    let endpoint = s3Endpoint(item)
    let bucket = item.string("bucket")
    if bucket == nil && !item.has("bucket") { item.missing("bucket", "by a location of type s3") }
    guard let endpoint, let bucket else { return nil }
    return .s3(.init(endpoint: endpoint, bucket: bucket, bucketMatch: bucketMatch, storageClass: storageClass))
  }

  private func cloudServerTarget(_ item: Section) -> Configuration.Target? {
    let servers = item.items("servers", wanted: "a host and port") { HostPort($0, defaultPort: 80) }
    let echo = item.bool("echo", default: false)
    if servers.isEmpty { item.missing("servers", "by a location of type cloudserver") }
    return servers.isEmpty ? nil : .cloudserver(.init(servers: servers, usesTLS: usesTLS(item), echo: echo))
  }

  private func usesTLS(_ section: Section) -> Bool {
    enum Transport: String, CaseIterable { case http, https }
    return section.choice("transport", Transport.self) == .https
  }

  // MARK: S3

  func s3Endpoint(_ section: Section) -> Configuration.S3Endpoint? {
    let region = section.string("region", default: "us-east-1")
    let pathStyle = section.bool("pathStyle", default: true)
    let caFile = section.string("caFile").map(context.resolve)
    let credentials = s3Credentials(section)
    guard let urls = s3URLs(section), let credentials else { return nil }
    return Configuration.S3Endpoint(
      url: urls[0], furtherURLs: Array(urls.dropFirst()), region: region, pathStyle: pathStyle, credentials: credentials, caFile: caFile)
  }

  /// `endpoint`, or `endpoints` where one takes over for another.
  private func s3URLs(_ section: Section) -> [String]? {
    guard section.has("endpoints") else {
      guard let text = section.string("endpoint") else {
        if !section.has("endpoint") { section.missing("endpoint", "by type s3") }
        return nil
      }
      guard let url = Self.s3URL(text) else {
        section.error("endpoint", "must be http://host[:port] or https://host[:port], not “\(text.droppingSlashes)”")
        return nil
      }
      return [url]
    }
    if section.has("endpoint") { section.error("endpoint", "is given together with “endpoints”: keep one") }
    let urls = section.items("endpoints", wanted: "http://host[:port] or https://host[:port]", Self.s3URL)
    if urls.isEmpty { section.missing("endpoints", "with an address") }
    return urls.isEmpty ? nil : urls
  }

  private static func s3URL(_ text: String) -> String? {
    let url = text.droppingSlashes
    let authority = ["http://", "https://"].first { url.hasPrefix($0) }.map { url.dropFirst($0.count) }
    guard let authority, HostPort(String(authority), defaultPort: 80) != nil else { return nil }
    return url
  }

  /// `credentials: {accessKey, secretKey, sessionToken}` in the section, or the same fields in the file `credentialsFile`.
  private func s3Credentials(_ section: Section) -> Configuration.S3Credentials? {
    guard section.has("credentialsFile") else {
      guard section.has("credentials") else {
        section.missing("credentials", "(or credentialsFile) by type s3")
        return nil
      }
      return s3Credentials(fields: section.section("credentials"))
    }
    if section.has("credentials") { section.error("credentialsFile", "is given together with “credentials”: keep one") }
    guard let path = section.string("credentialsFile").map(context.resolve) else { return nil }
    guard let root = YAMLDocument.read(path, bytesMax: 65_536, diagnostics: context.diagnostics) else { return nil }
    let file = LoadContext(
      file: path, directory: context.directory, environment: context.environment, diagnostics: context.diagnostics)
    return s3Credentials(fields: Section(root: root, context: file))
  }

  private func s3Credentials(fields: Section) -> Configuration.S3Credentials? {
    let accessKey = fields.secret("accessKey")
    let secretKey = fields.secret("secretKey")
    let sessionToken = fields.secret("sessionToken")
    for name in ["accessKey", "secretKey"] where !["", "File", "Env"].contains(where: { fields.has(name + $0) }) {
      fields.missing(name)
    }
    fields.finish()
    guard let accessKey, let secretKey else { return nil }
    return Configuration.S3Credentials(accessKey: accessKey.reveal(), secretKey: secretKey, sessionToken: sessionToken)
  }

  // MARK: Source

  /// `type` absent means Backbeat's only kind: a CloudServer.
  func source(_ section: Section, isNeeded: Bool) -> Configuration.Source? {
    guard section.isPresent else {
      if isNeeded { section.missing("", "by the locations of the bootstrap list") }
      return nil
    }
    guard let type = section.has("type") ? section.choice("type", SourceType.self) : .cloudserver else { return nil }
    guard purpose.capabilities.sourceTypes.contains(type) else {
      let message = "this build does not serve a source of type “\(type.rawValue)”"
      // Without a location that reads it, an unserved source harms nobody.
      if isNeeded { section.error("type", message) } else { section.note("type", message) }
      return nil
    }
    defer { section.finish() }
    switch type {
    case .file: return fileSource(section)
    case .s3: return s3Endpoint(section).map(Configuration.Source.s3)
    case .cloudserver: return cloudServerSource(section)
    }
  }

  private func fileSource(_ section: Section) -> Configuration.Source? {
    guard let path = section.absolutePath("path") else {
      if !section.has("path") { section.missing("path", "by a source of type file") }
      return nil
    }
    return .file(path: path)
  }

  private func cloudServerSource(_ section: Section) -> Configuration.Source? {
    let s3 = section.section("s3")
    if !s3.isPresent { section.missing("s3", "by a source of type cloudserver") }
    let server = s3.hostAndPort()
    s3.finish()
    let auth = sourceAuth(section.section("auth"))
    let tls = usesTLS(section)
    guard let server, let auth else { return nil }
    return .cloudserver(.init(server: server, usesTLS: tls, auth: auth))
  }

  private func sourceAuth(_ auth: Section) -> Configuration.Source.Auth? {
    enum Kind: String, CaseIterable { case account, service, role }
    defer { auth.finish(unused: ["account", "vault"]) }
    guard let kind = auth.choice("type", Kind.self) else {
      if !auth.has("type") { auth.missing("type", "by a source of type cloudserver") }
      return nil
    }
    switch kind {
    case .account, .service:
      guard let account = auth.string("account") else {
        if !auth.has("account") { auth.missing("account", "by auth type \(kind.rawValue)") }
        return nil
      }
      return kind == .account ? .account(account) : .service(account)
    case .role:
      let vault = auth.section("vault")
      if !vault.isPresent { auth.missing("vault", "by auth type role") }
      let server = vault.hostAndPort()
      vault.finish(unused: ["adminPort", "adminCredentialsFile"])
      return server.map { .role(vault: $0) }
    }
  }

  // MARK: Overlaps

  /// A tree replicated into itself never ends, and two locations in one directory overwrite each other.
  func checkOverlaps(source: Configuration.Source?, _ entries: [Entry]) {
    var taken: [(path: String, owner: String)] = []
    if case .file(let path) = source { taken.append((path, "the source")) }
    for (location, item) in entries {
      guard case .file(let target) = location.target else { continue }
      if let other = taken.first(where: { Paths.overlap($0.path, target.path) }) {
        item.error("path", "\(target.path) overlaps \(other.path) of \(other.owner)")
      }
      taken.append((target.path, "“\(location.site)”"))
    }
  }
}

extension String {
  fileprivate var droppingSlashes: String {
    var text = self
    while text.hasSuffix("/") { text.removeLast() }
    return text
  }
}
