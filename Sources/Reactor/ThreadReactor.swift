// Which reactor belongs to this thread. A pthread key: Swift's own task locals follow tasks, not threads.
internal import CLinux
internal import Glibc

enum ThreadReactor {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, nil) == 0, "out of thread keys")
    return key
  }()

  static func get() -> Reactor? {
    guard let pointer = pthread_getspecific(key) else { return nil }
    return Unmanaged<Reactor>.fromOpaque(pointer).takeUnretainedValue()
  }

  static func set(_ reactor: Reactor) { pthread_setspecific(key, Unmanaged.passUnretained(reactor).toOpaque()) }

  static func clear(ifCurrent reactor: Reactor) {
    if pthread_getspecific(key) == UnsafeMutableRawPointer(Unmanaged.passUnretained(reactor).toOpaque()) {
      pthread_setspecific(key, nil)
    }
  }
}
