#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
