#pragma clang module import SwiftGlibc
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
