// The settings of a transfer, and what libcurl's error codes mean to us.
internal import CCurl
internal import Reactor

enum CurlOptions {
  /// libcurl's receive buffer of a transfer, and its send buffer: allocated and freed for each request, by new pages of the
  /// kernel's if large, so small bodies get small ones.
  static let bufferBytes = 128 * 1_024
  static let bufferBytesSmall = 16 * 1_024
  /// Room for a head before a body.
  private static let headBytes = 1_024

  private static func buffer(_ bodyBytes: Int64) -> Int { bodyBytes + Int64(headBytes) <= Int64(bufferBytesSmall) ? bufferBytesSmall : bufferBytes }

  /// - Returns: the header list; to be freed after the transfer.
  static func apply(
    _ request: OutgoingRequest, _ limits: TransportLimits, to easy: UnsafeMutableRawPointer, context: UnsafeMutableRawPointer
  ) -> UnsafeMutablePointer<curl_slist>? {
    func set(_ option: CURLoption, _ value: Int) { check(db_easy_set_long(easy, option, value), option) }
    func set(_ option: CURLoption, _ value: String) { check(db_easy_set_text(easy, option, value), option) }
    set(CURLOPT_URL, request.url)
    set(CURLOPT_PATH_AS_IS, 1)
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_HTTP_VERSION, 2)  // CURL_HTTP_VERSION_1_1
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_TCP_NODELAY, 1)
    set(CURLOPT_CONNECTTIMEOUT_MS, Int(limits.connect.nanoseconds / 1_000_000))
    set(CURLOPT_BUFFERSIZE, buffer(request.expectedBytes ?? Int64(bufferBytes)))
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    if let caFile = request.caFile { set(CURLOPT_CAINFO, caFile) }
    switch request.body {
    case .none:
      if request.method == "HEAD" { set(CURLOPT_NOBODY, 1) } else { set(CURLOPT_CUSTOMREQUEST, request.method) }
    case .bytes(let bytes): upload(Int64(bytes.count))
    case .streamed(let length): upload(length)
    }
    func upload(_ length: Int64) {
      set(CURLOPT_UPLOAD, 1)
      set(CURLOPT_CUSTOMREQUEST, request.method)
      set(CURLOPT_UPLOAD_BUFFERSIZE, buffer(length))
      check(db_easy_set_size(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(length)), CURLOPT_INFILESIZE_LARGE)
    }

    check(db_easy_set_callback(easy, CURLOPT_HEADERFUNCTION, curlHeader), CURLOPT_HEADERFUNCTION)
    check(db_easy_set_callback(easy, CURLOPT_WRITEFUNCTION, curlWrite), CURLOPT_WRITEFUNCTION)
    check(db_easy_set_callback(easy, CURLOPT_READFUNCTION, curlRead), CURLOPT_READFUNCTION)
    for option in [CURLOPT_HEADERDATA, CURLOPT_WRITEDATA, CURLOPT_READDATA] { check(db_easy_set_pointer(easy, option, context), option) }

    var list: UnsafeMutablePointer<curl_slist>?
    let headers = request.headers.list
    for header in headers {
      // "Name;" is libcurl's way to write a header without a value; "Name:" would remove it.
      list = curl_slist_append(list, header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
    }
    // Would be added otherwise.
    for name in ["Accept:", "Content-Type:"] where !headers.contains(where: { $0.name.lowercased() + ":" == name.lowercased() }) {
      list = curl_slist_append(list, name)
    }
    check(db_easy_set_headers(easy, list), CURLOPT_HTTPHEADER)
    return list
  }

  /// Refused only for lack of memory, or by a libcurl built without HTTP: nothing to go on with. (Texts too long for it are
  /// refused before: `OutgoingRequest.impossible`.)
  private static func check(_ code: CURLcode, _ option: CURLoption) {
    precondition(code == CURLE_OK, "libcurl refuses option \(option.rawValue): \(String(cString: curl_easy_strerror(code)))")
  }

  static func kind(_ code: CURLcode) -> TransportError.Kind {
    switch code {
    case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_INTERFACE_FAILED: .unreachable
    case CURLE_OPERATION_TIMEDOUT: .stalled
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CERTPROBLEM: .untrusted
    case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_NOT_BUILT_IN: .impossible
    default: .broken
    }
  }
}
