// Entries as Backbeat's populator writes them, put together at run time so that the doubly encoded text is the
// encoder's business in one test and spelled out by hand in others.

import PipelineCore

enum Sample {
  static let versionId = "98123456789012999999RG001  "

  /// The metadata of a CloudServer object (one part, two sites), as JSON text: about 1.5 kB.
  static let metadata = """
    {"owner-display-name":"bart","owner-id":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",\
    "cache-control":"max-age=60","content-disposition":"","content-encoding":"","expires":"","content-length":2048,\
    "content-type":"image/png","content-md5":"0cc175b9c0f1b6a831c399e269772661","content-language":"",\
    "creation-time":"2031-02-03T04:05:06.789Z","x-amz-version-id":"null","x-amz-server-version-id":"",\
    "x-amz-storage-class":"STANDARD","x-amz-server-side-encryption":"",\
    "x-amz-server-side-encryption-aws-kms-key-id":"","x-amz-server-side-encryption-customer-algorithm":"",\
    "x-amz-website-redirect-location":"","acl":{"Canned":"private","FULL_CONTROL":[],"WRITE_ACP":[],"READ":[],"READ_ACP":[]},\
    "key":"2031/cat.png","location":[{"key":"ab12cd34","size":2048,"start":0,"dataStoreName":"us-east-1",\
    "dataStoreETag":"1:0cc175b9c0f1b6a831c399e269772661"}],"isDeleteMarker":false,"tags":{"k":"v"},\
    "x-amz-meta-color":"deep \\"blue\\"","replicationInfo":{"status":"PENDING","backends":[{"site":"aws-east",\
    "status":"PENDING","dataStoreVersionId":""},{"site":"dr-ring","status":"COMPLETED","dataStoreVersionId":"v7"}],\
    "content":["DATA","METADATA"],"destination":"arn:aws:s3:::photos","storageClass":"aws-east:preferred_read,dr-ring",\
    "role":"arn:aws:iam::111122223333:role/src,arn:aws:iam::444455556666:role/dst","storageType":"aws_s3",\
    "dataStoreVersionId":"","isNFS":null},"dataStoreName":"us-east-1","originOp":"s3:ObjectCreated:Put",\
    "last-modified":"2031-02-03T04:05:06.789Z","md-model-version":3,"versionId":"\(versionId)"}
    """

  /// An envelope around a value, members in the populator's order.
  static func envelope(
    type: String? = "put", bucket: String = "photos", key: String = "2031/cat.png\0\(versionId)", value: String? = metadata
  ) -> [UInt8] {
    var members: [JSONValue.Member] = []
    if let type { members.append(.init("type", .string(type))) }
    members.append(.init("bucket", .string(bucket)))
    members.append(.init("key", .string(key)))
    if let value { members.append(.init("value", .string(value))) }
    members.append(
      .init(
        "overheadFields",
        .object([
          .init("commitTimestamp", .string("2031-02-03T04:05:06.800Z")), .init("opTimestamp", .null),
          .init("versionId", .string(versionId)),
        ])))
    return JSONValue.object(members).bytes
  }

  static let entry = envelope()

  /// The metadata with one stretch of text replaced, which must be there.
  static func metadata(_ old: String, _ new: String) -> String {
    precondition(metadata.contains(old), "nothing to replace: \(old)")
    return metadata.replacing(old, with: new)
  }
}

extension DecodeOutcome {
  var entry: ReplicationEntry? { if case .replicate(let entry) = self { entry } else { nil } }
  var deadLetter: DeadLetterReason? { if case .deadLetter(let reason) = self { reason } else { nil } }
  var skip: SkipReason? { if case .skip(let reason) = self { reason } else { nil } }
  /// What became of it, in a word.
  var word: String {
    switch self {
    case .replicate: "replicate"
    case .skip(let reason): "skip \(reason.rawValue)"
    case .deadLetter(let reason): reason.code
    }
  }
}

extension RoutingOutcome {
  var word: String {
    switch self {
    case .replicate: "replicate"
    case .skip(let reason): "skip \(reason.rawValue)"
    case .deadLetter(let reason): reason.code
    }
  }
}

func decode(_ bytes: [UInt8], site: Site? = "aws-east") -> DecodeOutcome { EntryDecoder.decode(bytes.span, site: site) }
func decode(_ text: String, site: Site? = "aws-east") -> DecodeOutcome { decode(Array(text.utf8), site: site) }

func head(_ bytes: [UInt8]) -> HeadOutcome { EntryDecoder.head(bytes.span) }

extension HeadOutcome {
  var orderKey: UInt64? { if case .entry(let head) = self { head.orderKey } else { nil } }
}

// The testing macros must not see a span: it may not leave the expression it is made in.

func route(_ bytes: [UInt8], site: Site? = "aws-east") -> RoutingOutcome { EntryDecoder.decodeRouting(bytes.span, site: site) }
