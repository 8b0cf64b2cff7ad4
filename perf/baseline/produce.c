/* Fills a topic with replication entries in the original's format, each object once, and proves that all of them are there.
 *
 * Objects are spread over the partitions in turn, so a repeated object always lands in the same partition. With --window-bytes it
 * keeps pace with the consumer groups named: no partition ever holds more than that much unread by the slowest of them, which is
 * how a backlog larger than the mock broker's memory is streamed through it. */
#define _GNU_SOURCE 1
#include "common.h"
#include "entry.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PARTITIONS_MAX 10000
#define CALL_TIMEOUT_MS 10000
#define PACE_INTERVAL_S 0.02

static const char usage[] =
    "Usage: produce --brokers HOST:PORT --topic NAME --count N [options]\n"
    "  --partitions P      partitions to fill, 0..P-1 (default 1)\n"
    "  --bytes B           size of a value (default 1695, the original's usual entry; at least about 300)\n"
    "  --sites A,B,…       locations named in every entry (default noop)\n"
    "  --one-site-each     entry i names only site i modulo their number\n"
    "  --objects K         distinct objects; object i modulo K, next version each time round (default: N)\n"
    "  --first F           number of the first object (default 0)\n"
    "  --bucket NAME       (default photos)\n"
    "  --content-length N  of every object (default: different ones)\n"
    "  --md5 HEX           of every object (default: different ones)\n"
    "  --rate R            at most R entries per second (default: as fast as it goes)\n"
    "  --window-bytes W    never more than W bytes unread in a partition by the groups of --groups\n"
    "  --groups A,B,…      consumer groups to keep pace with\n"
    "  --timeout-s S       give up after S seconds (default 300)\n"
    "  --stamp             object names hold the time of sending, CLOCK_MONOTONIC in ns; sends are spread evenly with --rate\n"
    "  --print             print the first entry and its key instead of sending anything\n"
    "  -X name=value       any librdkafka property (repeatable)\n"
    "Prints one JSON object: entries, bytes, value_bytes, seconds, low, high (offsets summed over the partitions).\n";

struct job {
  const char *brokers, *topic;
  struct properties properties;
  struct list sites, groups;
  struct entry_options entry;
  bool one_site_each, print, stamp;
  int64_t count, objects, first, rate, window_bytes, timeout_s;
  int32_t partitions;
};

struct run {
  rd_kafka_t *client, *watchers[LIST_MAX];
  int64_t *produced, *consumed; /* by partition; consumed is that of the slowest group */
  int64_t *first;               /* by partition: the first offset that is ours */
  int64_t acknowledged, failed;
  rd_kafka_resp_err_t failure;
  double deadline, pace_at;
};

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  struct run *run = opaque;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    run->acknowledged += 1;
  } else {
    run->failed += 1;
    run->failure = message->err;
  }
}

static void check(const struct run *run) {
  if (run->failed > 0) fail(1, "%lld entries refused: %s", (long long)run->failed, rd_kafka_err2str(run->failure));
  if (interrupted()) fail(1, "interrupted after %lld entries", (long long)run->acknowledged);
  if (monotonic_seconds() > run->deadline) fail(1, "timed out after %lld entries", (long long)run->acknowledged);
}

static rd_kafka_t *open_producer(const struct job *job, struct run *run) {
  char error[256];
  rd_kafka_conf_t *conf = configuration(job->brokers, &job->properties);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_opaque(conf, run);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (client == NULL) fail(1, "rd_kafka_new: %s", error);
  return client;
}

static rd_kafka_t *open_watcher(const struct job *job, const char *group) {
  char error[256];
  struct properties none = {.count = 0};
  rd_kafka_conf_t *conf = configuration(job->brokers, &none);
  configure(conf, "group.id", group);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
  if (client == NULL) fail(1, "rd_kafka_new: %s", error);
  return client;
}

static void read_committed(const struct job *job, struct run *run) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(job->partitions);
  for (int32_t partition = 0; partition < job->partitions; partition++) rd_kafka_topic_partition_list_add(list, job->topic, partition);
  for (int32_t partition = 0; partition < job->partitions; partition++) run->consumed[partition] = INT64_MAX;
  for (size_t group = 0; group < job->groups.count; group++) {
    rd_kafka_resp_err_t error = rd_kafka_committed(run->watchers[group], list, CALL_TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "offsets of group %s: %s", job->groups.items[group], rd_kafka_err2str(error));
    for (int index = 0; index < list->cnt; index++) {
      int64_t offset = list->elems[index].offset < 0 ? 0 : list->elems[index].offset;
      if (offset < run->consumed[index]) run->consumed[index] = offset;
    }
  }
  rd_kafka_topic_partition_list_destroy(list);
}

static void sleep_seconds(double seconds) {
  struct timespec wait = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&wait, NULL);
}

static void keep_pace(const struct job *job, struct run *run, int32_t partition) {
  int64_t window = job->window_bytes / (int64_t)job->entry.bytes;
  while (run->produced[partition] - run->consumed[partition] >= window) {
    rd_kafka_poll(run->client, 0);
    check(run);
    double now = monotonic_seconds();
    if (now < run->pace_at) sleep_seconds(run->pace_at - now);
    read_committed(job, run);
    run->pace_at = monotonic_seconds() + PACE_INTERVAL_S;
  }
}

static size_t write_entry(const struct job *job, int64_t sequence, char *value, char *key, size_t *key_length) {
  struct entry_options options = job->entry;
  if (job->one_site_each) {
    options.sites = &job->entry.sites[(size_t)sequence % job->entry.site_count];
    options.site_count = 1;
  }
  int64_t object = job->stamp ? monotonic_ns() : job->first + sequence % job->objects;
  size_t length = entry_write(&options, object, sequence / job->objects, value, key, key_length);
  if (length == 0) fail(2, "no entry for these sites fits into %zu bytes (at most %d)", options.bytes, ENTRY_BYTES_MAX);
  return length;
}

static void send_entry(const struct job *job, struct run *run, int64_t sequence) {
  static char value[ENTRY_BYTES_MAX], key[KEY_BYTES_MAX];
  size_t key_length, length = write_entry(job, sequence, value, key, &key_length);
  int32_t partition = (int32_t)((sequence % job->objects) % job->partitions);
  if (job->window_bytes > 0) keep_pace(job, run, partition);
  for (;;) {
    rd_kafka_resp_err_t error = rd_kafka_producev(run->client, RD_KAFKA_V_TOPIC(job->topic), RD_KAFKA_V_PARTITION(partition),
                                                  RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE(value, length),
                                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) break;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail(1, "produce: %s", rd_kafka_err2str(error));
    rd_kafka_poll(run->client, 10);
    check(run);
  }
  run->produced[partition] += 1;
}

static void fill(const struct job *job, struct run *run, double started_at) {
  for (int64_t sequence = 0; sequence < job->count; sequence++) {
    if (job->rate > 0 && sequence % (job->stamp ? 1 : 16) == 0) {
      double due = started_at + (double)sequence / (double)job->rate;
      for (double now; (now = monotonic_seconds()) < due;) {
        rd_kafka_poll(run->client, 0);
        sleep_seconds(due - now < 0.005 ? due - now : 0.005);
        check(run);
      }
    }
    send_entry(job, run, sequence);
    if (sequence % 256 == 0) {
      rd_kafka_poll(run->client, 0);
      check(run);
    }
  }
  while (rd_kafka_outq_len(run->client) > 0) {
    rd_kafka_flush(run->client, 100);
    check(run);
  }
  check(run);
  if (run->acknowledged != job->count) fail(1, "%lld of %lld entries acknowledged", (long long)run->acknowledged, (long long)job->count);
}

static void watermarks(const struct job *job, struct run *run, int32_t partition, int64_t *low, int64_t *high) {
  rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(run->client, job->topic, partition, low, high, CALL_TIMEOUT_MS);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "watermarks of partition %d: %s", partition, rd_kafka_err2str(error));
}

static void note_first(const struct job *job, struct run *run) {
  for (int64_t low, partition = 0; partition < job->partitions; partition++)
    watermarks(job, run, (int32_t)partition, &low, &run->first[partition]);
}

/* Without a window nothing of ours may have been dropped: the broker of a backlog that is too large answers with a raised low offset. */
static void report(const struct job *job, struct run *run, double seconds) {
  int64_t low_sum = 0, high_sum = 0;
  for (int32_t partition = 0; partition < job->partitions; partition++) {
    int64_t low, high;
    watermarks(job, run, partition, &low, &high);
    if (low > run->first[partition] && job->window_bytes == 0)
      fail(1, "the broker dropped %lld entries of partition %d: use more partitions or --window-bytes", (long long)(low - run->first[partition]),
           partition);
    low_sum += low;
    high_sum += high;
  }
  printf("{\"entries\":%lld,\"bytes\":%lld,\"value_bytes\":%zu,\"seconds\":%.3f,\"low\":%lld,\"high\":%lld}\n", (long long)job->count,
         (long long)(job->count * (int64_t)job->entry.bytes), job->entry.bytes, seconds, (long long)low_sum, (long long)high_sum);
  if (fflush(stdout) != 0) fail(1, "cannot write to stdout");
}

static void print_first(const struct job *job) {
  static char value[ENTRY_BYTES_MAX], key[KEY_BYTES_MAX];
  size_t key_length, length = write_entry(job, 0, value, key, &key_length);
  printf("%.*s\n%.*s\n", (int)key_length, key, (int)length, value);
}

static void parse(int argc, char **argv, struct job *job) {
  enum { PRINT = 256, ONE_SITE, STAMP };
  static const struct option options[] = {
      {"brokers", required_argument, NULL, 'b'},      {"topic", required_argument, NULL, 't'},
      {"count", required_argument, NULL, 'n'},        {"partitions", required_argument, NULL, 'p'},
      {"bytes", required_argument, NULL, 'B'},        {"sites", required_argument, NULL, 'l'},
      {"one-site-each", no_argument, NULL, ONE_SITE}, {"objects", required_argument, NULL, 'k'},
      {"first", required_argument, NULL, 'f'},        {"bucket", required_argument, NULL, 'u'},
      {"rate", required_argument, NULL, 'r'},         {"window-bytes", required_argument, NULL, 'w'},
      {"groups", required_argument, NULL, 'g'},       {"timeout-s", required_argument, NULL, 's'},
      {"stamp", no_argument, NULL, STAMP},            {"print", no_argument, NULL, PRINT},
      {"content-length", required_argument, NULL, 'c'}, {"md5", required_argument, NULL, 'm'},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0}};
  for (int option; (option = getopt_long(argc, argv, "X:h", options, NULL)) != -1;) {
    switch (option) {
    case 'b': job->brokers = optarg; break;
    case 't': job->topic = optarg; break;
    case 'n': job->count = number("count", optarg, 1, 1000000000000); break;
    case 'p': job->partitions = (int32_t)number("partitions", optarg, 1, PARTITIONS_MAX); break;
    case 'B': job->entry.bytes = (size_t)number("bytes", optarg, 1, ENTRY_BYTES_MAX); break;
    case 'l': job->sites = list_parse(optarg); break;
    case ONE_SITE: job->one_site_each = true; break;
    case 'k': job->objects = number("objects", optarg, 1, 1000000000000); break;
    case 'f': job->first = number("first", optarg, 0, 100000000000); break;
    case 'u': job->entry.bucket = optarg; break;
    case 'r': job->rate = number("rate", optarg, 1, 100000000); break;
    case 'w': job->window_bytes = number("window-bytes", optarg, 1, 1 << 30); break;
    case 'g': job->groups = list_parse(optarg); break;
    case 's': job->timeout_s = number("timeout-s", optarg, 1, 86400); break;
    case 'X': properties_add(&job->properties, optarg); break;
    case STAMP: job->stamp = true; break;
    case 'c': job->entry.length = number("content-length", optarg, 1, 1000000000000); break;
    case 'm': job->entry.md5 = optarg; break;
    case PRINT: job->print = true; break;
    case 'h': fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
  }
  if (optind != argc) fail(2, "unexpected argument '%s'", argv[optind]);
  if (!job->print && (job->brokers == NULL || job->topic == NULL || job->count == 0))
    fail(2, "--brokers, --topic and --count are needed; see --help");
  if ((job->window_bytes > 0) != (job->groups.count > 0)) fail(2, "--window-bytes and --groups go together");
  if (job->window_bytes > 0 && job->window_bytes < (int64_t)job->entry.bytes) fail(2, "--window-bytes is smaller than one entry");
  if (job->objects == 0) job->objects = job->count > 0 ? job->count : 1;
  if (job->sites.count == 0) job->sites = (struct list){.items = {"noop"}, .count = 1};
  job->entry.sites = (const char *const *)job->sites.items;
  job->entry.site_count = job->sites.count;
}

int main(int argc, char **argv) {
  static struct job job = {.entry = {.bucket = "photos", .bytes = 1695}, .partitions = 1, .timeout_s = 300};
  static struct run run;
  parse(argc, argv, &job);
  if (job.print) {
    print_first(&job);
    return 0;
  }
  die_with_parent();
  catch_signals();
  run.deadline = monotonic_seconds() + (double)job.timeout_s;
  run.produced = calloc((size_t)job.partitions, sizeof *run.produced);
  run.consumed = calloc((size_t)job.partitions, sizeof *run.consumed);
  run.first = calloc((size_t)job.partitions, sizeof *run.first);
  if (run.produced == NULL || run.consumed == NULL || run.first == NULL) fail(1, "out of memory");
  run.client = open_producer(&job, &run);
  for (size_t group = 0; group < job.groups.count; group++) run.watchers[group] = open_watcher(&job, job.groups.items[group]);
  note_first(&job, &run);
  double started_at = monotonic_seconds();
  fill(&job, &run, started_at);
  report(&job, &run, monotonic_seconds() - started_at);
  for (size_t group = 0; group < job.groups.count; group++) rd_kafka_destroy(run.watchers[group]);
  rd_kafka_destroy(run.client);
  free(run.produced);
  free(run.consumed);
  free(run.first);
  return 0;
}
