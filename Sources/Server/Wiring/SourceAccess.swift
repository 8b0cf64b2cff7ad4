// How the status processor, retries and a resync reach the configured source: recipes, because each of them works on a thread
// of its own.
internal import Logging
internal import Pipeline
internal import PipelineCore

struct SourceAccess: Sendable {
  /// Statuses of its objects, for one worker.
  let makeStatusStore: @Sendable (WorkerContext) throws(WorkerLocationError) -> any SourceStatusStore
  /// Its objects, for one desk.
  let makeCatalog: @Sendable (WorkerContext) throws(StoreError) -> any SourceCatalog

  /// - Returns: nil for a source this build cannot ask.
  /// - Errors: a source that cannot be opened, naming it.
  static func open(_ source: Configuration.Source?, stateDirectory: String, log: Logger) throws(NodeFailure) -> SourceAccess? {
    switch source {
    case .file(let path)?: try file(path, stateDirectory, log)
    case .s3(let endpoint)?: s3(S3Settings(endpoint), log)
    case .cloudserver?, nil: nil
    }
  }

  private static func s3(_ settings: S3Settings, _ log: Logger) -> SourceAccess {
    SourceAccess(
      makeStatusStore: { context in
        let client = S3Client(settings: settings, side: .source, transport: context.transport)
        return S3StatusStore(client: client, note: { log.warning("source", metadata: ["note": "\($0)"]) })
      },
      makeCatalog: { context in
        S3SourceCatalog(client: S3Client(settings: settings, side: .source, transport: context.transport))
      })
  }

  private static func file(_ path: String, _ stateDirectory: String, _ log: Logger) throws(NodeFailure) -> SourceAccess {
    let note: @Sendable (String) -> Void = { log.warning("directory", metadata: ["path": "\(path)", "note": "\($0)"]) }
    do throws(StoreError) {
      let location = try FileLocation.openSource(path, layout: .source, note: note)
      // One for all: it is what keeps two updates of a file apart.
      let statuses = FileSourceStatus(location: location, fallbackDirectory: "\(stateDirectory)/source-status", note: note)
      return SourceAccess(
        makeStatusStore: { _ in FileStatusStore(statuses) },
        makeCatalog: { _ in FileSourceCatalog(path: path, statuses: statuses) })
    } catch {
      throw NodeFailure("source: \(error.message)", isConfiguration: true)
    }
  }
}
