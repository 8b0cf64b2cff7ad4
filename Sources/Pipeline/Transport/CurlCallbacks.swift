// What libcurl calls. Named functions without isolation: a closure written inside an isolated function would inherit that
// isolation and be checked for it on entry. Each finds its object by the pointer it was given and does nothing itself.
//
// - Thread: the reactor's, inside a libcurl call of ours. None may call back into libcurl.
internal import CCurl
internal import Reactor

private func exchange(_ context: UnsafeMutableRawPointer) -> CurlExchange {
  Unmanaged<CurlExchange>.fromOpaque(context).takeUnretainedValue()
}

private func transport(_ context: UnsafeMutableRawPointer) -> CurlTransport {
  Unmanaged<CurlTransport>.fromOpaque(context).takeUnretainedValue()
}

/// The peer sent header bytes: one line a call.
nonisolated func curlHeader(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let bytes, let context else { return 0 }
  return exchange(context).received(headerLine: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

/// The peer sent body bytes.
nonisolated func curlWrite(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let bytes, let context else { return 0 }
  return exchange(context).received(body: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

/// The peer takes body bytes.
nonisolated func curlRead(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
  guard let bytes, let context else { return db_read_abort }
  return exchange(context).fill(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}

/// libcurl wants to know of a socket's readiness, or no longer.
nonisolated func curlSocket(
  _ easy: UnsafeMutableRawPointer?, _ fd: curl_socket_t, _ what: Int32, _ context: UnsafeMutableRawPointer?,
  _ socket: UnsafeMutableRawPointer?
) -> Int32 {
  if let context { transport(context).watch(fd, what) }
  return 0
}

/// libcurl wants to be called again after so many milliseconds; -1: not.
nonisolated func curlTimer(_ multi: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?) -> Int32 {
  if let context { transport(context).setTimer(milliseconds) }
  return 0
}
