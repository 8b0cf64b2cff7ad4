// How the parser tests feed bytes: whole, cut in two at every place, octet by octet. Every way must give one answer.
import HTTP
import Testing

/// What a request turned out to be, with the offsets replaced by text, so that expectations are readable.
enum Parsed: Equatable {
  case head(HeadText)
  case failure(HTTPParseError)
  case incomplete
}

struct HeadText: Equatable {
  var method: String
  var path: String
  var query: String?
  var authority: String?
  var framing: BodyFraming
  var keepsAlive: Bool
  var minorVersion: UInt8
  var byteCount: Int
}

/// Feeds `bytes` in pieces ending at each of `cuts`, then whole.
func parse(_ bytes: [UInt8], cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()) -> Parsed {
  var parser = HTTPParser(limits: limits)
  for end in cuts + [bytes.count] {
    do throws(HTTPParseError) {
      let span = bytes.span.extracting(0..<end)
      if let head = try parser.parse(span) { return .head(describe(head, span)) }
    } catch {
      return .failure(error)
    }
  }
  return .incomplete
}

func parse(_ text: String, cuts: [Int] = [], limits: HTTPLimits = HTTPLimits()) -> Parsed {
  parse(Array(text.utf8), cuts: cuts, limits: limits)
}

func describe(_ head: RequestHead, _ span: Span<UInt8>) -> HeadText {
  var query: String?
  var authority: String?
  if let range = head.query { query = span.text(in: range) }
  if let range = head.authority { authority = span.text(in: range) }
  return HeadText(
    method: span.text(in: head.methodName), path: span.text(in: head.path), query: query, authority: authority,
    framing: head.framing, keepsAlive: head.keepsAlive, minorVersion: head.minorVersion, byteCount: head.byteCount)
}

/// A chunked body decoded in pieces: the body, or what was wrong, and how many bytes belonged to it.
enum Decoded: Equatable {
  case body([UInt8], consumed: Int)
  case failure(HTTPParseError)
  case incomplete
}

func decodeChunks(_ bytes: [UInt8], pieces: [Range<Int>], limits: HTTPLimits = HTTPLimits()) -> Decoded {
  var decoder = ChunkedDecoder(limits: limits)
  var body: [UInt8] = []
  for piece in pieces {
    let span = bytes.span.extracting(piece)
    var position = 0
    reading: while true {
      do throws(HTTPParseError) {
        switch try decoder.next(span, from: position) {
        case .data(let range):
          body += span.array(in: range)
          position = range.upperBound
        case .needMore: break reading
        case .end(let consumed): return .body(body, consumed: piece.lowerBound + consumed)
        }
      } catch { return .failure(error) }
    }
  }
  return .incomplete
}
