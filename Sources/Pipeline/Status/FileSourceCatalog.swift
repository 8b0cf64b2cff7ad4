// What is in a `file` source: one object by a few system calls, all of them by walking the tree. Objects have no versions; the
// modification time says which state of a file is meant, as in the entries of the embedded populator.
//
// - Thread: the executor it was made for, whose thread may wait for a disk.
internal import PipelineCore
internal import Reactor

public final class FileSourceCatalog: SourceCatalog {
  private let path: String
  private let statuses: FileSourceStatus

  /// - Parameter path: of the source's root.
  public init(path: String, statuses: FileSourceStatus) {
    self.path = path
    self.statuses = statuses
  }

  public func object(
    bucket: String, key: String, versionId: String?, sites: [String]
  ) async throws(StoreError) -> SourceObject? {
    // A version of something that has none was never ours; `null` is a name for none.
    guard versionId == nil || versionId == VersionId.null, let info = try statuses.file(bucket: bucket, key: key) else { return nil }
    return try object(ObjectName(bucket: bucket, key: key), info, sites)
  }

  public func list(bucket: String?, prefix: String, sites: [String]) throws(StoreError) -> any SourceListing {
    do throws(Errno) {
      let root = try TreeRoot(path: path)
      // A walk passes over what has gone; a bucket that was asked for by name must be there.
      if let bucket { _ = try root.openDirectory(Array(bucket.utf8)) }
      return FileSourceListing(self, root: root, bucket: bucket, prefix: prefix, sites: sites)
    } catch {
      throw .source(error.code, error.call, bucket.map { "\(path)/\($0)" } ?? path)
    }
  }

  fileprivate func object(_ name: ObjectName, _ info: ObjectInfo, _ sites: [String]) throws(StoreError) -> SourceObject {
    var record = ObjectRecord(
      bucket: name.bucket, key: name.key, versionId: nil,
      lastModified: ISO8601.string(ms: (info.modifiedNs ?? 0) / 1_000_000), sites: [])
    record.contentLength = info.size
    let shown = try statuses.statuses(of: sites, bucket: name.bucket, key: name.key, info: info)
    return SourceObject(record: record, statuses: shown ?? [:])
  }
}

/// Directories are visited in the order the file system gives them; a prefix is judged by path, so that other directories are
/// passed over only where their whole bucket is.
private final class FileSourceListing: SourceListing {
  /// Names looked at for one page: at most so many objects are in it.
  static let namesPerPageMax = 1_000

  private let catalog: FileSourceCatalog
  private let walker: TreeWalker
  private let bucket: String?
  private let prefix: String
  private let sites: [String]

  init(_ catalog: FileSourceCatalog, root: TreeRoot, bucket: String?, prefix: String, sites: [String]) {
    self.catalog = catalog
    self.bucket = bucket
    self.prefix = prefix
    self.sites = sites
    walker = TreeWalker(root: root, under: bucket ?? "")
  }

  func nextPage() async throws(StoreError) -> SourcePage {
    var page = SourcePage()
    var files: [WalkedFile] = []
    let progress = walker.step(entriesMax: Self.namesPerPageMax) { item in
      switch item {
      case .file(let file): files.append(file)
      case .failure(let failure): page.failures.append(failure.message)
      }
    }
    for file in files {
      guard let name = SourceNaming.bucketPerDirectory.object(at: file.path), name.key.hasPrefix(prefix) else { continue }
      page.objects.append(try catalog.object(name, ObjectInfo(size: file.size, modifiedNs: file.modifiedNs), sites))
    }
    page.isLast = progress == .finished
    return page
  }
}
