/* Raw round trips of the two servers behind a pause, with nothing of ours between: a Redis publish until a subscriber on another
 * connection has the message, and a ZooKeeper set until it is acknowledged. One at a time, with a gap between, as pauses come. */
#define _DEFAULT_SOURCE /* usleep */
#define THREADED /* ZooKeeper's synchronous calls */
#include "common.h"

#include <getopt.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define SAMPLES_MAX 100000
#define CONNECT_TIMEOUT_S 10

static double samples[SAMPLES_MAX];

static int by_value(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void print(const char *what, int64_t count) {
  qsort(samples, (size_t)count, sizeof samples[0], by_value);
  printf("{\"what\": \"%s\", \"count\": %lld, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f}\n", what, (long long)count,
         samples[count / 2] * 1e3, samples[count * 99 / 100] * 1e3, samples[count - 1] * 1e3);
}

static redisContext *redis_connect(const char *host, int port) {
  struct timeval limit = {CONNECT_TIMEOUT_S, 0};
  redisContext *context = redisConnectWithTimeout(host, port, limit);
  if (context == NULL || context->err) fail(1, "redis %s:%d: %s", host, port, context ? context->errstr : "out of memory");
  redisSetTimeout(context, limit);
  return context;
}

static void redis_samples(const char *host, int port, int64_t count, int64_t gap_us) {
  redisContext *sender = redis_connect(host, port), *receiver = redis_connect(host, port);
  redisReply *reply = redisCommand(receiver, "SUBSCRIBE downbeat-rtt");
  if (reply == NULL) fail(1, "subscribe: %s", receiver->errstr);
  freeReplyObject(reply);
  for (int64_t index = 0; index < count; index++) {
    usleep((useconds_t)gap_us);
    double start = monotonic_seconds();
    /* Written at once; its answer is read after the message, which is what is waited for. */
    redisAppendCommand(sender, "PUBLISH downbeat-rtt {\"action\":\"pauseService\"}");
    int done = 0;
    while (!done)
      if (redisBufferWrite(sender, &done) != REDIS_OK) fail(1, "publish: %s", sender->errstr);
    if (redisGetReply(receiver, (void **)&reply) != REDIS_OK) fail(1, "message: %s", receiver->errstr);
    samples[index] = monotonic_seconds() - start;
    freeReplyObject(reply);
    if (redisGetReply(sender, (void **)&reply) != REDIS_OK) fail(1, "publish: %s", sender->errstr);
    freeReplyObject(reply);
  }
  redisFree(sender);
  redisFree(receiver);
  print("redis publish to subscriber", count);
}

static void ignore(zhandle_t *handle, int type, int state, const char *path, void *context) {
  (void)handle, (void)type, (void)state, (void)path, (void)context;
}

static void zookeeper_samples(const char *servers, int64_t count, int64_t gap_us) {
  static const char value[] = "{\"paused\":true,\"scheduledResume\":null}";
  zoo_set_debug_level(0);
  zhandle_t *handle = zookeeper_init(servers, ignore, 10000, NULL, NULL, 0);
  if (handle == NULL) fail(1, "zookeeper %s: no handle", servers);
  double limit = monotonic_seconds() + CONNECT_TIMEOUT_S;
  while (zoo_state(handle) != ZOO_CONNECTED_STATE) {
    if (monotonic_seconds() > limit) fail(1, "zookeeper %s: not connected", servers);
    usleep(10000);
  }
  char path[64];
  snprintf(path, sizeof path, "/downbeat-rtt-%ld", (long)getpid());
  int code = zoo_create(handle, path, value, sizeof value - 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
  if (code != ZOK) fail(1, "zookeeper create: %s", zerror(code));
  for (int64_t index = 0; index < count; index++) {
    usleep((useconds_t)gap_us);
    double start = monotonic_seconds();
    code = zoo_set(handle, path, value, sizeof value - 1, (int)index);
    samples[index] = monotonic_seconds() - start;
    if (code != ZOK) fail(1, "zookeeper set: %s", zerror(code));
  }
  zookeeper_close(handle);
  print("zookeeper set", count);
}

static void usage(int code) __attribute__((noreturn));
static void usage(int code) {
  fprintf(code ? stderr : stdout, "rtt --redis HOST:PORT | --zookeeper HOST:PORT  --count N [--gap-us N]\n");
  exit(code);
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"redis", required_argument, NULL, 'r'}, {"zookeeper", required_argument, NULL, 'z'},
                                          {"count", required_argument, NULL, 'n'}, {"gap-us", required_argument, NULL, 'g'},
                                          {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
  char *redis = NULL, *zookeeper = NULL;
  int64_t count = 1000, gap_us = 1000;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
      case 'r': redis = optarg; break;
      case 'z': zookeeper = optarg; break;
      case 'n': count = number("--count", optarg, 1, SAMPLES_MAX); break;
      case 'g': gap_us = number("--gap-us", optarg, 0, 1000000); break;
      case 'h': usage(0);
      default: usage(2);
    }
  if ((redis == NULL) == (zookeeper == NULL)) usage(2);
  die_with_parent();
  if (zookeeper != NULL) {
    zookeeper_samples(zookeeper, count, gap_us);
  } else {
    char *colon = strrchr(redis, ':');
    if (colon == NULL) usage(2);
    *colon = '\0';
    redis_samples(redis, (int)number("port", colon + 1, 1, 65535), count, gap_us);
  }
  return 0;
}
