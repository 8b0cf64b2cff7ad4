// HTTPS with an authority of one's own.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct TLSTests {
  @Test func onlyServersThatTheGivenAuthorityVouchesForAreBelieved() async throws {
    let directory = TemporaryDirectory()
    let (key, certificate) = ("\(directory.path)/key.pem", "\(directory.path)/cert.pem")
    let make = try ChildProcess(
      "openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
      ], outputPath: "\(directory.path)/openssl.log")
    try #require(make.wait() == .exited(0), "\(make.output)")
    let port = try freeLoopbackPort()
    let server = try ChildProcess(
      try MotoServer.tool("moto_server"), ["-H", "127.0.0.1", "-p", "\(port)", "-s", "-c", certificate, "-k", key],
      outputPath: "\(directory.path)/moto.log")
    #expect(eventually(within: .seconds(60)) { server.output.contains("Running on https") || server.poll() != nil }, "\(server.output)")
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      var settings = MotoServer.settings(["https://127.0.0.1:\(port)"])
      let stranger = await Self.error { _ = try await rig.client(settings).head("b", "k") }
      #expect(stranger?.reason == .targetDenied && stranger?.isRetryable == false, "\(stranger?.description ?? "believed")")
      settings.caFile = certificate
      let bucket = try await rig.makeBucket(settings)
      let bytes = patternBytes(3_000_000)
      try await rig.put(settings, bucket, "k", bytes)
      #expect(try await rig.get(settings, bucket, "k").body == bytes)
      settings.endpoints = ["https://localhost:\(port)"]
      let other = await Self.error { _ = try await rig.client(settings).head(bucket, "k") }
      #expect(other?.reason == .targetDenied, "the name is another: \(other?.description ?? "believed")")
    }
    server.killNow()
  }

  private static func error(_ body: () async throws -> Void) async -> StoreError? {
    do {
      try await body()
      return nil
    } catch {
      return error as? StoreError
    }
  }
}
