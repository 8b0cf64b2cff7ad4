// inotify on the directories of the source: one handle, one watch per directory, for all locations together.
//
// The rule that makes it free of gaps: a directory is watched first and read afterwards. A name created before the
// watch is found by the reading; one created after it makes an event; one in between does both. So every directory must
// pass through `watch` before its names are read, and a directory that an event announces must be listed.
//
// It only translates: descriptors to paths, masks to changes. What a change means, and when it is looked at, is the
// enqueuer's business. What it cannot deliver (a full queue, no room for a watch) it says; then only listing again helps.

internal import CLinux
internal import Glibc
internal import Reactor

/// What happened in the source, as paths.
enum SourceChange: Hashable, Sendable {
  /// Something at this path was created, finished writing, changed its attributes, moved here, or went away.
  case entry(String)
  /// A directory came to be here; what is in it may have come with it.
  case directoryAppeared(String)
  /// A directory was moved away with all that is in it (it may appear elsewhere in the source, or not).
  case directoryMovedAway(String)
}

protocol SourceWatcherDelegate: AnyObject {
  func watcher(_ watcher: SourceWatcher, saw change: SourceChange)
  /// The kernel's queue was full and events were dropped: only a listing tells what they were.
  func watcherOverflowed(_ watcher: SourceWatcher)
}

final class SourceWatcher: EventSource {
  /// Directories watched; each costs the kernel about 1 KB and us about 150 bytes.
  static let watchesMax = 200_000
  /// Room for at least 240 events of the longest names.
  static let bufferBytes = 65_536
  /// Buffers read per event, so that a storm of changes leaves turns to the others.
  static let readsPerEventMax = 4

  weak var delegate: (any SourceWatcherDelegate)?

  private let handle: OwnedFD
  private let watchesMax: Int
  private let reserved: Set<String>
  private var token: SourceToken?
  private var directories = WatchTree()
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: SourceWatcher.bufferBytes, alignment: 8)

  /// - Parameter reservedAtRoot: names at the root whose events are nobody's concern.
  /// - Errors: `Errno` of inotify_init1 (EMFILE: `fs.inotify.max_user_instances`).
  init(reservedAtRoot: Set<String> = [], watchesMax: Int = SourceWatcher.watchesMax) throws(Errno) {
    let raw = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
    guard raw >= 0 else { throw Errno.last("inotify_init1") }
    handle = OwnedFD(adopting: raw)
    reserved = reservedAtRoot
    self.watchesMax = watchesMax
  }

  deinit { buffer.deallocate() }

  var watchCount: Int { directories.count }

  func start(on reactor: Reactor) throws(Errno) {
    token = try reactor.register(fd: handle.raw, interest: .read, source: self)
  }

  func stop(on reactor: Reactor) {
    if let token { reactor.scheduleClose(token) }
    token = nil
  }

  /// Watches an open directory. Doing it again is harmless, and tells where the directory is now.
  /// - Thread: the lister's. - Blocking: one system call.
  /// - Returns: false if its events will not come (`fs.inotify.max_user_watches`, our own bound, no memory).
  func watch(directory fd: Int32, path: String) -> Bool {
    // By descriptor: the very directory that is about to be read, not what has the name by now.
    let watch = inotify_add_watch(handle.raw, "/proc/self/fd/\(fd)", Self.mask)
    // ENOENT: the directory was deleted meanwhile; there is nothing left to watch.
    guard watch >= 0 else { return errno == ENOENT }
    if directories.count >= watchesMax, directories.path(of: watch) == nil {
      inotify_rm_watch(handle.raw, watch)
      return false
    }
    for stale in directories.place(watch, at: path) { inotify_rm_watch(handle.raw, stale) }
    return true
  }

  // MARK: Events

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    for _ in 0..<Self.readsPerEventMax {
      let count = read(handle.raw, buffer.baseAddress!, buffer.count)
      // Nothing there (EAGAIN) or interrupted: level-triggered, so it comes again if there is more.
      guard count > 0 else { return }
      takeEvents(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
  }

  private func takeEvents(_ bytes: UnsafeRawBufferPointer) {
    var at = 0
    while at + Self.headerBytes <= bytes.count {
      let watch = bytes.loadUnaligned(fromByteOffset: at, as: Int32.self)
      let mask = bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self)
      let length = Int(bytes.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self))
      let start = at + Self.headerBytes
      precondition(start + length <= bytes.count, "inotify cut an event")
      at = start + length
      take(watch, mask, name: Array(bytes[start..<at].prefix { $0 != 0 }))
    }
  }

  private func take(_ watch: Int32, _ mask: UInt32, name: [UInt8]) {
    if mask & UInt32(IN_Q_OVERFLOW) != 0 {
      delegate?.watcherOverflowed(self)
      return
    }
    if mask & UInt32(IN_IGNORED) != 0 {
      _ = directories.removeSubtree(watch)
      return
    }
    // Events of the directory itself carry no name; those of a watch already removed have no path.
    guard !name.isEmpty, let parent = directories.path(of: watch) else { return }
    guard let text = String(validating: name, as: UTF8.self) else {
      // Cannot be a key. Listing its directory reports it, or finds it gone.
      delegate?.watcher(self, saw: .directoryAppeared(parent))
      return
    }
    if parent.isEmpty, reserved.contains(text) { return }
    let path = parent.isEmpty ? text : parent + "/" + text
    guard mask & UInt32(IN_ISDIR) != 0 else {
      delegate?.watcher(self, saw: .entry(path))
      return
    }
    if mask & UInt32(IN_MOVED_FROM) != 0 {
      // If it was found at its new place already, it is no child of this parent any more and keeps its watches.
      if let moved = directories.child(of: watch, named: text) {
        for stale in directories.removeSubtree(moved) { inotify_rm_watch(handle.raw, stale) }
      }
      delegate?.watcher(self, saw: .directoryMovedAway(path))
    } else if mask & UInt32(IN_CREATE | IN_MOVED_TO) != 0 {
      delegate?.watcher(self, saw: .directoryAppeared(path))
    }
  }

  /// struct inotify_event without its name.
  private static let headerBytes = 16
  private static let mask = UInt32(
    IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)
}
