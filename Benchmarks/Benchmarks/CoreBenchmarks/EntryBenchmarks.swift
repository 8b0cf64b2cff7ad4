// Reading entries: what the reactor reads of each (bucket and key), what a location that moves no data reads (routing), and all of
// it. The texts are the first entries of `perf/baseline/produce --print`, full and with `--bytes 300`.
import Benchmark
import BenchmarkSupport
import PipelineCore

private let site = Site("noop")

private func check(_ entry: [UInt8]) -> [UInt8] {
  guard case .replicate = EntryDecoder.decodeRouting(entry.span, site: site) else { fatalError("the entry is not for this site") }
  return entry
}

private func readHeads(_ entry: inout [UInt8], _ count: Int) {
  for _ in 0..<count { blackHole(EntryDecoder.head(entry.span)) }
}

private func readRoutings(_ entry: inout [UInt8], _ count: Int) {
  for _ in 0..<count { blackHole(EntryDecoder.decodeRouting(entry.span, site: site)) }
}

private func readAll(_ entry: inout [UInt8], _ count: Int) {
  for _ in 0..<count { blackHole(EntryDecoder.decode(entry.span, site: site)) }
}

func registerEntryBenchmarks() {
  measure("entry of 1,695 bytes: head") {
    check(fullEntry)
  } operations: {
    readHeads(&$0, $1)
  }
  measure("entry of 1,695 bytes: routing") {
    check(fullEntry)
  } operations: {
    readRoutings(&$0, $1)
  }
  measure("entry of 1,695 bytes: everything, kept (allocates)") {
    check(fullEntry)
  } operations: {
    readAll(&$0, $1)
  }
  measure("entry of 300 bytes: head") {
    check(smallEntry)
  } operations: {
    readHeads(&$0, $1)
  }
  measure("entry of 300 bytes: routing") {
    check(smallEntry)
  } operations: {
    readRoutings(&$0, $1)
  }
}

private let fullEntry = Array(
  #"""
  {"type":"put","bucket":"photos","key":"2031/02/cat-000000000000.png\u000098123456789012999999RG001  ","value":\#
  "{\"md-model-version\":3,\"owner-display-name\":\"zoo\",\"owner-id\":\"9f1c2d3e4b5a69788796a5b4c3d2e1f09f1c2d3\#
  e4b5a69788796a5b4c3d2e1f0\",\"cache-control\":\"\",\"content-disposition\":\"\",\"content-encoding\":\"\",\"ex\#
  pires\":\"\",\"content-length\":608535,\"content-type\":\"image/png\",\"content-md5\":\"e220a8397b1dcdafa706dd\#
  2f4d197e6f\",\"last-modified\":\"2031-02-03T04:05:06.789Z\",\"x-amz-version-id\":\"null\",\"x-amz-server-versi\#
  on-id\":\"\",\"x-amz-storage-class\":\"STANDARD\",\"versionId\":\"98123456789012999999RG001  \",\"location\":[\#
  {\"key\":\"a706dd2f4d197e6f\",\"size\":608535,\"start\":0,\"dataStoreName\":\"us-east-1\",\"dataStoreETag\":\"\#
  1:e220a8397b1dcdafa706dd2f4d197e6f\"}],\"dataStoreName\":\"us-east-1\",\"originOp\":\"s3:ObjectCreated:Put\",\\#
  "isDeleteMarker\":false,\"tags\":{\"k\":\"v\"},\"acl\":{\"Canned\":\"private\",\"FULL_CONTROL\":[],\"WRITE_ACP\#
  \":[],\"READ\":[],\"READ_ACP\":[]},\"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"noop\\#
  ",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"}],\"content\":[\"DATA\",\"METADATA\"],\"destination\":\"a\#
  rn:aws:s3:::photos\",\"storageClass\":\"noop\",\"role\":\"arn:aws:iam::111122223333:role/src,arn:aws:iam::4444\#
  55556666:role/dst\",\"storageType\":\"aws_s3\",\"dataStoreVersionId\":\"\",\"isNFS\":null},\"x-amz-meta-origin\#
  \":\"ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp\#
  ppppppppppppppppppppppppp\"}","overheadFields":{"commitTimestamp":"2031-02-03T04:05:06.800Z","opTimestamp":nul\#
  l,"versionId":"98123456789012999999RG001  "}}
  """#.utf8)

private let smallEntry = Array(
  #"""
  {"type":"put","bucket":"photos","key":"000000000000\u000098123456789012999999RG001  ","value":"{\"content-leng\#
  th\":935,\"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"noop\",\"status\":\"PENDING\"}]\#
  ,\"content\":[\"DATA\"],\"storageClass\":\"noop\"},\"x\":\"pppppppppppppppp\"}"}
  """#.utf8)
