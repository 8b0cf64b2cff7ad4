/* Shared by the baseline programs: option parsing, errors, clocks, librdkafka configuration from `-X name=value`.
 *
 * Every program prints exactly one JSON object on stdout when it did what was asked, messages on stderr, and exits 0 (done),
 * 1 (failed while running) or 2 (wrong usage). None of them waits without a time-out. */
#ifndef DOWNBEAT_PERF_COMMON_H
#define DOWNBEAT_PERF_COMMON_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROPERTIES_MAX 64
#define LIST_MAX 256

struct properties {
  const char *names[PROPERTIES_MAX];
  const char *values[PROPERTIES_MAX];
  size_t count;
};

struct list {
  char *items[LIST_MAX];
  size_t count;
};

/* Prints "program: message" and exits with `code`. */
void fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Adds "name=value"; exits 2 if it has no "=" or there are too many. The text is kept, not copied. */
void properties_add(struct properties *properties, char *text);

/* A configuration with `bootstrap.servers` and then the given properties, which win. Exits 2 on an unknown one. */
rd_kafka_conf_t *configuration(const char *brokers, const struct properties *properties);

/* Sets one property; exits 2 with librdkafka's own words if it is refused. */
void configure(rd_kafka_conf_t *conf, const char *name, const char *value);

/* Splits at commas, in place. Exits 2 on an empty item or too many of them. */
struct list list_parse(char *text);

/* A decimal in [low, high], else exits 2 naming the option. */
int64_t number(const char *option, const char *text, int64_t low, int64_t high);

int64_t monotonic_ns(void);
double monotonic_seconds(void);  /* CLOCK_MONOTONIC */
double process_cpu_seconds(void); /* user + system of all threads, past ones too */
long max_rss_kb(void);

/* True once SIGINT or SIGTERM came. */
bool interrupted(void);
void catch_signals(void);

/* Ends this process when its parent dies, so that a killed driver leaves nothing behind. */
void die_with_parent(void);

#endif
