/* The yardstick: the least a consumer built on librdkafka can do. Polls one message at a time, counts it, frees it.
 *
 * It assigns all partitions from the first offset (no group, no commits), so what it measures is librdkafka's fetching and
 * hand-over alone. Time and CPU are measured from the first message to the last ("window") and for the whole process since the
 * assignment; compare windows with windows. With --consumers K it holds K clients, each reading the whole topic, served by one
 * thread through one eventfd: the library's own cost of K locations. With --hold the clients live on, paused between one backlog
 * and the next: the library's own cost without that of its start. */
#define _GNU_SOURCE 1
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONSUMERS_MAX 256
#define METADATA_TIMEOUT_MS 10000
#define WAIT_MS 100

static const char usage[] =
    "Usage: count --brokers HOST:PORT --topic NAME (--count N | --hold) [options]\n"
    "  --count N           messages to read, by each consumer\n"
    "  --consumers K       clients that each read the whole topic (default 1, at most 256)\n"
    "  --hold              clients stay, paused: each line `N S` on stdin resumes them until each has read N more messages and S\n"
    "                      seconds have passed, and is answered with a JSON object (seconds: to the last message; cpu_seconds: of the\n"
    "                      whole window_seconds, from before the resume)\n"
    "  --latencies FILE    write how long each message was on its way, ns, one a line (keys of `produce --stamp`)\n"
    "  --timeout-s S       give up after S seconds (default 120)\n"
    "  -X name=value       any librdkafka property (repeatable)\n"
    "Prints one JSON object: entries, bytes, seconds and cpu_seconds (first to last message), total_*, max_rss_kb.\n";

struct reader {
  rd_kafka_t *client;
  rd_kafka_queue_t *queue;
  int64_t left;
};

struct tally {
  int64_t entries, bytes;
  FILE *latencies;
  double first_at, first_cpu, last_at, last_cpu;
};

static void assign_all(rd_kafka_t *client, const char *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
  if (handle == NULL) fail(1, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
  rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, METADATA_TIMEOUT_MS);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "metadata of %s: %s", topic, rd_kafka_err2str(error));
  if (metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt == 0) fail(1, "topic %s has no partitions", topic);

  int count = metadata->topics[0].partition_cnt;
  rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(count);
  for (int index = 0; index < count; index++)
    rd_kafka_topic_partition_list_add(partitions, topic, metadata->topics[0].partitions[index].id)->offset = RD_KAFKA_OFFSET_BEGINNING;
  error = rd_kafka_assign(client, partitions);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "assign: %s", rd_kafka_err2str(error));
  rd_kafka_topic_partition_list_destroy(partitions);
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
}

static struct reader reader_open(const char *brokers, const struct properties *properties, int64_t count) {
  char error[256];
  rd_kafka_conf_t *conf = configuration(brokers, properties);
  configure(conf, "group.id", "count");
  configure(conf, "enable.auto.commit", "false");
  configure(conf, "auto.offset.reset", "error");
  struct reader reader = {.left = count};
  reader.client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
  if (reader.client == NULL) fail(1, "rd_kafka_new: %s", error);
  rd_kafka_poll_set_consumer(reader.client);
  reader.queue = rd_kafka_queue_get_consumer(reader.client);
  return reader;
}

/* The time of sending is the last run of digits in the key. */
static void note_latency(FILE *file, const rd_kafka_message_t *message) {
  int64_t now = monotonic_ns(), sent = 0, scale = 1;
  const char *key = message->key;
  size_t end = message->key_len;
  while (end > 0 && (key[end - 1] < '0' || key[end - 1] > '9')) end -= 1;
  for (; end > 0 && key[end - 1] >= '0' && key[end - 1] <= '9'; end -= 1, scale *= 10) sent += (key[end - 1] - '0') * scale;
  fprintf(file, "%lld\n", (long long)(now - sent));
}

/* Takes what one client has without waiting longer than `wait_ms` for the first message. Returns whether it took any. */
static bool take(struct reader *reader, int wait_ms, struct tally *tally) {
  bool any = false;
  while (reader->left > 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->client, any ? 0 : wait_ms);
    if (message == NULL) return any;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "consume: %s", rd_kafka_message_errstr(message));
    if (tally->entries == 0) {
      tally->first_at = monotonic_seconds();
      tally->first_cpu = process_cpu_seconds();
    }
    tally->entries += 1;
    tally->bytes += (int64_t)message->len;
    if (tally->latencies != NULL) note_latency(tally->latencies, message);
    reader->left -= 1;
    any = true;
    rd_kafka_message_destroy(message);
  }
  return any;
}

static void read_one(struct reader *reader, double deadline, struct tally *tally) {
  while (reader->left > 0) {
    if (interrupted()) fail(1, "interrupted after %lld messages", (long long)tally->entries);
    if (!take(reader, WAIT_MS, tally) && monotonic_seconds() > deadline)
      fail(1, "timed out after %lld messages, %lld missing", (long long)tally->entries, (long long)reader->left);
  }
}

static void read_many(struct reader *readers, size_t count, double deadline, struct tally *tally) {
  int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) fail(1, "eventfd: %s", strerror(errno));
  static const uint64_t one = 1;
  for (size_t index = 0; index < count; index++) rd_kafka_queue_io_event_enable(readers[index].queue, event, &one, sizeof one);
  for (size_t open = count; open > 0;) {
    if (interrupted()) fail(1, "interrupted after %lld messages", (long long)tally->entries);
    open = 0;
    /* The signal is edge-like: it is drained first, and every queue is then emptied. */
    uint64_t signals;
    if (read(event, &signals, sizeof signals) < 0 && errno != EAGAIN) fail(1, "eventfd: %s", strerror(errno));
    for (size_t index = 0; index < count; index++) {
      take(&readers[index], 0, tally);
      if (readers[index].left > 0) open += 1;
    }
    struct pollfd wait = {.fd = event, .events = POLLIN};
    if (open > 0 && poll(&wait, 1, WAIT_MS) == 0 && monotonic_seconds() > deadline)
      fail(1, "timed out after %lld messages", (long long)tally->entries);
  }
  for (size_t index = 0; index < count; index++) rd_kafka_queue_io_event_enable(readers[index].queue, -1, NULL, 0);
  close(event);
}

static void set_paused(struct reader *readers, size_t count, bool is_paused) {
  for (size_t index = 0; index < count; index++) {
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_resp_err_t error = rd_kafka_assignment(readers[index].client, &partitions);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "assignment: %s", rd_kafka_err2str(error));
    error = is_paused ? rd_kafka_pause_partitions(readers[index].client, partitions) : rd_kafka_resume_partitions(readers[index].client, partitions);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "%s: %s", is_paused ? "pause" : "resume", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(partitions);
  }
}

static void read_all(struct reader *readers, size_t count, double deadline, struct tally *tally) {
  if (count == 1)
    read_one(&readers[0], deadline, tally);
  else
    read_many(readers, count, deadline, tally);
}

static void sleep_until(double at) {
  for (double left; !interrupted() && (left = at - monotonic_seconds()) > 0;) usleep((useconds_t)(left * 1e6) + 1);
}

/* Serves the lines of --hold until stdin ends. */
static void hold(struct reader *readers, size_t count, double timeout) {
  char line[128];
  set_paused(readers, count, true);
  while (fgets(line, sizeof line, stdin) != NULL) {
    long long entries;
    double window;
    if (sscanf(line, "%lld %lf", &entries, &window) != 2 || entries < 0 || window < 0) fail(2, "--hold wants lines `N S`, got '%s'", line);
    struct tally tally = {.entries = 0};
    for (size_t index = 0; index < count; index++) readers[index].left = entries;
    double started_at = monotonic_seconds(), started_cpu = process_cpu_seconds();
    set_paused(readers, count, false);
    if (entries > 0) read_all(readers, count, started_at + timeout, &tally);
    double last_at = monotonic_seconds();
    sleep_until(started_at + window);
    printf("{\"entries\":%lld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"window_seconds\":%.6f}\n", (long long)tally.entries,
           last_at - started_at, process_cpu_seconds() - started_cpu, monotonic_seconds() - started_at);
    if (fflush(stdout) != 0) fail(1, "cannot write to stdout");
    set_paused(readers, count, true);
  }
}

static void reader_close(struct reader *reader) {
  rd_kafka_queue_destroy(reader->queue);
  rd_kafka_consumer_close(reader->client);
  rd_kafka_destroy(reader->client);
}

int main(int argc, char **argv) {
  struct properties properties = {.count = 0};
  const char *brokers = NULL, *topic = NULL, *latencies = NULL;
  int64_t count = 0, consumers = 1, timeout_s = 120;
  bool holds = false;
  static const struct option options[] = {
      {"brokers", required_argument, NULL, 'b'}, {"topic", required_argument, NULL, 't'},
      {"count", required_argument, NULL, 'n'}, {"consumers", required_argument, NULL, 'k'},
      {"timeout-s", required_argument, NULL, 's'}, {"latencies", required_argument, NULL, 'l'},
      {"hold", no_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  for (int option; (option = getopt_long(argc, argv, "X:h", options, NULL)) != -1;) {
    switch (option) {
    case 'b': brokers = optarg; break;
    case 't': topic = optarg; break;
    case 'n': count = number("count", optarg, 1, INT64_MAX / 2); break;
    case 'k': consumers = number("consumers", optarg, 1, CONSUMERS_MAX); break;
    case 'l': latencies = optarg; break;
    case 's': timeout_s = number("timeout-s", optarg, 1, 86400); break;
    case 'o': holds = true; break;
    case 'X': properties_add(&properties, optarg); break;
    case 'h': fputs(usage, stdout); return 0;
    default: fputs(usage, stderr); return 2;
    }
  }
  if (optind != argc) fail(2, "unexpected argument '%s'", argv[optind]);
  if (brokers == NULL || topic == NULL || (count == 0) != holds) fail(2, "--brokers, --topic and --count or --hold are needed; see --help");
  die_with_parent();
  catch_signals();

  static struct reader readers[CONSUMERS_MAX];
  for (int64_t index = 0; index < consumers; index++) readers[index] = reader_open(brokers, &properties, count);
  double started_at = monotonic_seconds(), started_cpu = process_cpu_seconds(), deadline = started_at + (double)timeout_s;
  for (int64_t index = 0; index < consumers; index++) assign_all(readers[index].client, topic);
  if (holds) {
    hold(readers, (size_t)consumers, (double)timeout_s);
    for (int64_t index = 0; index < consumers; index++) reader_close(&readers[index]);
    return 0;
  }
  struct tally tally = {.entries = 0};
  if (latencies != NULL && (tally.latencies = fopen(latencies, "w")) == NULL) fail(1, "%s: %s", latencies, strerror(errno));
  read_all(readers, (size_t)consumers, deadline, &tally);
  tally.last_at = monotonic_seconds();
  tally.last_cpu = process_cpu_seconds();
  if (tally.latencies != NULL && fclose(tally.latencies) != 0) fail(1, "%s: %s", latencies, strerror(errno));

  printf("{\"entries\":%lld,\"bytes\":%lld,\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"total_seconds\":%.6f,\"total_cpu_seconds\":%.6f,"
         "\"max_rss_kb\":%ld,\"consumers\":%lld}\n",
         (long long)tally.entries, (long long)tally.bytes, tally.last_at - tally.first_at, tally.last_cpu - tally.first_cpu,
         tally.last_at - started_at, tally.last_cpu - started_cpu, max_rss_kb(), (long long)consumers);
  if (fflush(stdout) != 0) fail(1, "cannot write to stdout");
  for (int64_t index = 0; index < consumers; index++) reader_close(&readers[index]);
  return 0;
}
