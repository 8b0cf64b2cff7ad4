internal import CRdkafka
internal import CHiredis
internal import CZookeeper
internal import COpenSSL
internal import CLinux

func versions() -> (Int32, Int32) {
  return (rd_kafka_version(), HIREDIS_MAJOR)
}
