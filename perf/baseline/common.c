/* See common.h. */
#define _GNU_SOURCE 1
#include "common.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop_requested;

void fail(int code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", program_invocation_short_name);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(code);
}

void properties_add(struct properties *properties, char *text) {
  char *equals = strchr(text, '=');
  if (equals == NULL || equals == text) fail(2, "-X wants name=value, got '%s'", text);
  if (properties->count == PROPERTIES_MAX) fail(2, "more than %d -X properties", PROPERTIES_MAX);
  *equals = '\0';
  properties->names[properties->count] = text;
  properties->values[properties->count] = equals + 1;
  properties->count += 1;
}

void configure(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char error[256];
  if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) fail(2, "%s", error);
}

rd_kafka_conf_t *configuration(const char *brokers, const struct properties *properties) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  configure(conf, "bootstrap.servers", brokers);
  for (size_t index = 0; index < properties->count; index++)
    configure(conf, properties->names[index], properties->values[index]);
  return conf;
}

struct list list_parse(char *text) {
  struct list list = {.count = 0};
  for (char *item; (item = strsep(&text, ",")) != NULL;) {
    if (*item == '\0') fail(2, "empty item in a comma-separated list");
    if (list.count == LIST_MAX) fail(2, "more than %d items in a list", LIST_MAX);
    list.items[list.count++] = item;
  }
  return list;
}

int64_t number(const char *option, const char *text, int64_t low, int64_t high) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < low || value > high)
    fail(2, "--%s wants a number from %lld to %lld, got '%s'", option, (long long)low, (long long)high, text);
  return value;
}

int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double monotonic_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double process_cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

long max_rss_kb(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) fail(1, "getrusage: %s", strerror(errno));
  return usage.ru_maxrss;
}

static void on_signal(int number) {
  (void)number;
  stop_requested = 1;
}

bool interrupted(void) { return stop_requested != 0; }

void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
    fail(1, "sigaction: %s", strerror(errno));
  signal(SIGPIPE, SIG_IGN);
}

void die_with_parent(void) {
  pid_t parent = getppid();
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) fail(1, "prctl: %s", strerror(errno));
  /* The parent may have died between the fork and the call above. */
  if (getppid() != parent) fail(1, "the parent process is gone");
}
