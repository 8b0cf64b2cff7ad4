// Failed replications and the workflow overlay: what is asked for, what is refused, and the bodies.
import HTTP
import TestSupport
import Testing

@testable import Server

struct FailedRouteTests {
  private func api(_ list: MemoryFailedList) throws -> API { try API(providers: Routes.Providers(failedList: list)) }

  static let item = FailedItem(
    object: ObjectVersionName(bucket: "photos", key: "2031/cat.png", versionId: "3937383530"), location: "aws-east", size: 2_048,
    lastModified: "2031-02-03T04:05:06.789Z")
  static let itemMembers =
    #""Bucket":"photos","Key":"2031/cat.png","VersionId":"3937383530","StorageClass":"aws-east","Size":2048,"LastModified":"2031-02-03T04:05:06.789Z""#

  @Test(arguments: [
    "marker=foo", "marker=", "marker", "sitename=", "sitename", "marker=1&marker=2", "sitename=a&sitename=b", "sitename=%ZZ", "marker=-",
  ])
  func badQueryIs400(_ query: String) throws {
    let list = MemoryFailedList()
    #expect(try api(list).ask("GET /_/crr/failed?\(query)").isError(400, "InvalidQueryParameter"))
    #expect(try api(list).ask("GET /_/crr/failed/b/k?versionId=v&\(query)").isError(400, "InvalidQueryParameter"))
    #expect(list.asked.isEmpty)
  }

  @Test(arguments: [
    ("sitename=S1", "S1 newest"), ("sitename=S1&marker=0", "S1 0"), ("marker=1928376450000&sitename=nobody%20knows", "nobody knows 1928376450000"),
    ("sitename=S1&marker=12abc", "S1 12"), ("sitename=S1&marker=%20-7", "S1 -7"),
    ("sitename=S1&marker=99999999999999999999", "S1 9223372036854775807"),
  ])
  func listIsAskedByLocationAndMarker(_ query: String, _ asked: String) throws {
    let list = MemoryFailedList()
    #expect(try api(list).ask("GET /_/crr/failed?\(query)").text == #"{"IsTruncated":false,"Versions":[]}"#)
    #expect(list.asked == [asked])
  }

  @Test(arguments: [
    "/_/crr/failed", "/_/crr/failed?mymarker", "/_/crr/failed?marker=5", "/_/crr/failed/mybucket", "/_/crr/failed/b/k",
    "/_/crr/failed/b/k?versionId=",
  ])
  func listWithoutALocationIsEmpty(_ path: String) throws {
    let list = MemoryFailedList()
    list.answer = FailedPage(items: [Self.item])
    #expect(try api(list).ask("GET \(path)").text == #"{"IsTruncated":false,"Versions":[]}"#)
    #expect(list.asked.isEmpty)
    // And needs no list to say so.
    #expect(try API().ask("GET \(path)").text == #"{"IsTruncated":false,"Versions":[]}"#)
  }

  @Test func pageCarriesItsMarkerAsANumberWhileThereIsMore() throws {
    let list = MemoryFailedList()
    list.answer = FailedPage(items: [Self.item], nextMarker: 1_928_376_450_000)
    #expect(
      try api(list).ask("GET /_/crr/failed?sitename=aws-east").text
        == "{\"IsTruncated\":true,\"Versions\":[{\(Self.itemMembers)}],\"NextMarker\":1928376450000}")
    list.answer = FailedPage(items: [Self.item])
    #expect(try api(list).ask("GET /_/crr/failed?sitename=aws-east").text == "{\"IsTruncated\":false,\"Versions\":[{\(Self.itemMembers)}]}")
  }

  @Test func failuresOfOneVersionAreAskedByItsWholeKey() throws {
    let list = MemoryFailedList()
    list.answer = FailedPage(items: [Self.item, Self.item])
    let answer = try api(list).ask("GET /_/crr/failed/b/a%2Fb/c%20d/?versionId=v")
    #expect(list.asked == ["b|a/b/c d/|v"])
    #expect(answer.text == "{\"IsTruncated\":false,\"Versions\":[{\(Self.itemMembers)},{\(Self.itemMembers)}]}")
  }

  @Test func unreadableListIs500AndAbsentOne503() throws {
    let list = MemoryFailedList()
    list.answer = nil
    let good = #"[{"Bucket":"b","Key":"k","StorageClass":"s"}]"#
    for (line, body) in [("GET /_/crr/failed?sitename=S1", nil), ("GET /_/crr/failed/b/k?versionId=v", nil), ("POST /_/crr/failed", good)] {
      #expect(try api(list).ask(line, body: body).isError(500, "InternalError"))
      #expect(try API().ask(line, body: body).isError(503, "ServiceUnavailable"))
    }
  }

  @Test(arguments: [
    ("", "well-formed"), ("{", "well-formed"), (#""a""#, "non-empty array"), ("{}", "non-empty array"), ("[]", "non-empty array"),
    ("null", "non-empty array"),
    (#"["a"]"#, "array of objects"), ("[[]]", "array of objects"), ("[null]", "array of objects"), (#"[{"Key":"k","StorageClass":"s"}]"#, "'Bucket'"),
    (#"[{"Bucket":"b","StorageClass":"s"}]"#, "'Key'"), (#"[{"Bucket":"b","Key":"k"}]"#, "'StorageClass'"),
    (#"[{"Bucket":"","Key":"k","StorageClass":"s"}]"#, "'Bucket'"), (#"[{"Bucket":"b","Key":1,"StorageClass":"s"}]"#, "'Key'"),
    (#"[{"Bucket":"b","Key":"k","StorageClass":null}]"#, "'StorageClass'"),
    (#"[{"Bucket":"b","Key":"k","StorageClass":"s","VersionId":1}]"#, "'VersionId'"),
    (#"[{"Bucket":"b","Key":"k","StorageClass":"s","ForceRetry":"true"}]"#, "'ForceRetry'"),
    (#"[{"Bucket":"b","Key":"k","StorageClass":"s"},{"Bucket":"b"}]"#, "'Key'"),
  ])
  func malformedRetryIsRefusedAndSaysWhy(_ body: String, _ words: String) throws {
    let list = MemoryFailedList()
    let answer = try api(list).ask("POST /_/crr/failed", body: body)
    #expect(answer.isError(400, "MalformedPOSTRequest"))
    #expect(answer.text.contains(words), "\(answer.text)")
    #expect(list.retries.isEmpty)
    // A node without a list checks it all the same.
    #expect(try API().ask("POST /_/crr/failed", body: body).isError(400, "MalformedPOSTRequest"))
  }

  @Test func retryIsPassedOnOncePerTuple() throws {
    let list = MemoryFailedList()
    let body =
      #"[{"Bucket":"b","Key":"k","StorageClass":"S1"},{"Bucket":"b","Key":"k","StorageClass":"S1","VersionId":""},"#
      + #"{"Bucket":"b","Key":"k","StorageClass":"S1","VersionId":"v","ForceRetry":true},{"StorageClass":"S2","Key":"k","Bucket":"b","x":1}]"#
    #expect(try api(list).ask("POST /_/crr/failed", body: body).text == "[]")
    #expect(
      list.retries == [
        RetryRequest(object: ObjectVersionName(bucket: "b", key: "k", versionId: nil), location: "S1", isForced: false),
        RetryRequest(object: ObjectVersionName(bucket: "b", key: "k", versionId: "v"), location: "S1", isForced: true),
        RetryRequest(object: ObjectVersionName(bucket: "b", key: "k", versionId: nil), location: "S2", isForced: false),
      ])
  }

  /// A tuple is bucket, key, version and location; whether it is forced is not part of it.
  @Test func theSameObjectWithAndWithoutForceIsRetriedOnce() throws {
    let list = MemoryFailedList()
    let object = #"{"Bucket":"b","Key":"k","StorageClass":"S1""#
    for body in [#"[\#(object)},\#(object),"ForceRetry":true}]"#, #"[\#(object),"ForceRetry":true},\#(object),"ForceRetry":false}]"#] {
      list.retries = []
      #expect(try api(list).ask("POST /_/crr/failed", body: body).text == "[]")
      #expect(
        list.retries == [RetryRequest(object: ObjectVersionName(bucket: "b", key: "k", versionId: nil), location: "S1", isForced: true)])
    }
  }

  /// `null` names the version of an object without versions, whose failures are listed without one; should one be listed as
  /// `null`, it is found as well.
  @Test func versionNullIsTheObjectWithoutAVersion() throws {
    let list = MemoryFailedList()
    let item = FailedItem(
      object: ObjectVersionName(bucket: "b", key: "k", versionId: nil), location: "S1", size: 1, lastModified: "")
    list.answer = FailedPage(items: [item])
    #expect(try api(list).ask("GET /_/crr/failed/b/k?versionId=null").text.contains(#""Key":"k""#))
    #expect(list.asked == ["b|k|-"])
    let body = #"[{"Bucket":"b","Key":"k","StorageClass":"S1","VersionId":"null"},{"Bucket":"b","Key":"k","StorageClass":"S1"}]"#
    _ = try api(list).ask("POST /_/crr/failed", body: body)
    #expect(list.retries.map(\.object.versionId) == [nil])
    list.answer = FailedPage(items: [])
    (list.asked, list.retries) = ([], [])
    #expect(try api(list).ask("GET /_/crr/failed/b/k?versionId=null").text.contains(#""Versions":[]"#))
    #expect(list.asked == ["b|k|-", "b|k|null"])
    _ = try api(list).ask("POST /_/crr/failed", body: body)
    #expect(list.retries.map(\.object.versionId) == [nil, "null"])
  }

  @Test func retryAnswersWhatWasQueued() throws {
    let list = MemoryFailedList()
    list.answer = FailedPage(items: [Self.item])
    let body = #"[{"Bucket":"photos","Key":"2031/cat.png","StorageClass":"aws-east","VersionId":"3937383530","ForceRetry":true}]"#
    #expect(try api(list).ask("POST /_/crr/failed", body: body).text == "[{\(Self.itemMembers),\"ReplicationStatus\":\"PENDING\"}]")
  }

  @Test(arguments: [
    ("{", 400, "MalformedPOSTRequest"), ("", 400, "MalformedPOSTRequest"), ("[]", 400, "MalformedPOSTRequest"),
    (#"{"workflows":[]}"#, 503, "ServiceUnavailable"),
  ])
  func workflowsMustBeAnObjectThisNodeCanApply(_ body: String, _ status: Int, _ name: String) throws {
    #expect(try API().ask("POST /_/configuration/workflows", body: body).isError(status, name))
  }

  @Test func emptyWorkflowsAskForNothing() throws {
    #expect(try API().ask("POST /_/configuration/workflows", body: "{}").isEmptyObject)
    let answer = try API().ask("GET /_/configuration/workflows")
    #expect(answer.isError(405, "MethodNotAllowed"))
    #expect(answer["allow"] == "POST")
  }
}
