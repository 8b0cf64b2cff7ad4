// Puts a batch with a wrong checksum into a partition, which no honest client can: the Produce request by hand
// (Kafka protocol, Produce v3 and record batch v2).
internal import CLinux
import Glibc

@testable import Pipeline

enum RawProducer {
  /// - Parameter server: `127.0.0.1:port`.
  /// - Returns: false if the broker did not answer.
  static func sendBrokenBatch(to server: String, topic: String, partition: Int32 = 0, records: Int32) -> Bool {
    guard let port = UInt16(server.split(separator: ":")[1]) else { return false }
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard connected == 0 else { return false }
    let request = request(topic: topic, partition: partition, batch: brokenBatch(records: records))
    guard write(fd, request, request.count) == request.count else { return false }
    var answer = [UInt8](repeating: 0, count: 256)
    return read(fd, &answer, answer.count) > 8
  }

  private static func request(topic: String, partition: Int32, batch: [UInt8]) -> [UInt8] {
    var body = bytes(Int16(0)) + bytes(Int16(3)) + bytes(Int32(1)) + string("raw")  // Produce v3
    body += bytes(Int16(-1)) + bytes(Int16(-1)) + bytes(Int32(5_000))  // no transaction, all acks, time-out
    body += bytes(Int32(1)) + string(topic) + bytes(Int32(1)) + bytes(partition)
    body += bytes(Int32(batch.count)) + batch
    return bytes(Int32(body.count)) + body
  }

  private static func brokenBatch(records: Int32) -> [UInt8] {
    let payload = [UInt8](repeating: 0x55, count: Int(records) * 32)
    var rest = bytes(Int16(0)) + bytes(records - 1) + bytes(Int64(1)) + bytes(Int64(1))  // attributes, last delta, times
    rest += bytes(Int64(-1)) + bytes(Int16(-1)) + bytes(Int32(-1)) + bytes(records) + payload  // no producer id
    let wrongChecksum = bytes(UInt32(0xDEAD_BEEF))
    let body = bytes(Int32(0)) + [2] + wrongChecksum + rest  // leader epoch, magic
    return bytes(Int64(0)) + bytes(Int32(body.count)) + body
  }

  private static func string(_ text: String) -> [UInt8] { bytes(Int16(text.utf8.count)) + Array(text.utf8) }

  private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}
