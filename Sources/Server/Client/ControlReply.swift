// The API's answers as values.

internal import Foundation
internal import PipelineCore

enum ControlReply {
  /// The name and text of an error body: `{"code":404,"description":"…","RouteNotFound":true}`.
  static func error(_ body: [UInt8]) -> (name: String?, description: String?) {
    guard let object = object(body) else { return (nil, nil) }
    let name = object.first { $0.key != "code" && $0.value as? Bool == true }?.key
    return (name, object["description"] as? String)
  }

  /// `{"location": "text", …}`, sorted by location.
  static func texts(_ body: [UInt8]) -> [(location: String, text: String)]? {
    object(body)?.compactMap { key, value in (value as? String).map { (key, $0) } }.sorted { $0.0 < $1.0 }
  }

  /// A body of the given shape.
  ///
  /// - Errors: a failure that says the daemon answered something else.
  static func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws(CommandFailure) -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(body))
    } catch {
      throw .running("the answer cannot be understood: \(String(decoding: body.prefix(200), as: UTF8.self))")
    }
  }

  /// A list, to be printed again as it came.
  static func array(_ body: [UInt8]) throws(CommandFailure) -> [JSONValue] {
    do throws(JSONValue.Malformed) {
      if case .array(let items) = try JSONValue(parsing: body, bytesMax: body.count) { return items }
    } catch {
      // Said below.
    }
    throw .running("the answer cannot be understood: \(String(decoding: body.prefix(200), as: UTF8.self))")
  }

  private static func object(_ body: [UInt8]) -> [String: Any]? {
    // Anything that is no JSON object (a proxy's page) is simply not one of our answers.
    (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any]
  }

  /// `GET /{svc}/locations`.
  struct Locations: Decodable {
    var locations: [Location]
  }

  struct Location: Decodable {
    var location: String
    var state: String
    var since: String?
    var inFlight: Int
    var queued: Int?
    var lag: Int?
    var scheduledResume: String?
    var nodes: [Node]?
    var gaps: [Gap]?
    var stuck: [Stuck]?
    var notes: [String]?
  }

  /// A task that runs too long.
  struct Stuck: Decodable {
    var bucket: String
    var key: String
    var topic: String
    var partition: Int
    var since: String
  }

  /// Entries the broker dropped before they were read.
  struct Gap: Decodable {
    var topic: String
    var partition: Int
    var from: Int64
    var to: Int64
  }

  /// One reason for not being ready, of `GET /_/ready`.
  struct Problem: Decodable, CustomStringConvertible {
    var component: String
    var status: String
    var site: String?

    var description: String { site.map { "\(component) of \($0): \(status)" } ?? "\(component): \(status)" }
  }

  struct Node: Decodable {
    var id: String
    var state: String
    var inFlight: Int
    var lastSeen: String?
  }

  /// `GET /crr/failed`; names as they stand in the answer.
  // swift-format-ignore: AlwaysUseLowerCamelCase
  struct FailedPage: Decodable {
    var IsTruncated: Bool
    var Versions: [FailedItem]
    var NextMarker: Int64?
  }

  // swift-format-ignore: AlwaysUseLowerCamelCase
  struct FailedItem: Decodable, Hashable {
    var Bucket: String
    var Key: String
    var VersionId: String?
    var Size: Int64
    var LastModified: String
    var Reason: String?
    var Attempts: Int?
  }

  /// `GET /metrics/{service}/{location}`; the ingestion service has no sizes and no failures.
  struct Metrics: Decodable {
    struct Part<Count: Decodable, Size: Decodable>: Decodable {
      struct Results: Decodable {
        var count: Count
        var size: Size?
      }
      var results: Results
    }
    var pending: Part<Int64, Int64>
    var completions: Part<Int64, Int64>
    var failures: Part<Int64, Int64>?
    var throughput: Part<String, String>
  }

  /// One location of a `pause?wait=` answer.
  struct Drain: Decodable {
    var state: String
    var inFlight: Int
    var nodes: [Node]?
  }
}
