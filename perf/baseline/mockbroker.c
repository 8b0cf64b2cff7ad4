/* A Kafka broker for load runs: librdkafka's mock cluster in a process of its own, so that its CPU time and memory are not
 * counted as the consumer's. Prints its bootstrap address as JSON and runs until a signal, or until its parent dies.
 *
 * What it cannot do: it keeps about 5 MB and 100,000 batches per partition and then drops the oldest, consumed or not, without
 * telling anybody. Spread a backlog over enough partitions, or let `produce --window-bytes` keep pace with the consumers. */
#define _GNU_SOURCE 1
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BROKERS_MAX 16
#define PARTITIONS_MAX 10000

static const char usage[] =
    "Usage: mockbroker [options]\n"
    "  --brokers N         brokers in the cluster, 1-16 (default 1)\n"
    "  --topic NAME:P      create a topic with P partitions (repeatable)\n"
    "  --rtt-ms N          answer every request N ms later (default 0)\n"
    "  --stay              do not end with the parent process\n"
    "Prints {\"bootstrap\":\"127.0.0.1:PORT\",\"pid\":PID} when ready; ends on SIGTERM or SIGINT.\n";

static void create_topic(rd_kafka_mock_cluster_t *cluster, char *text) {
  char *colon = strrchr(text, ':');
  if (colon == NULL || colon == text) fail(2, "--topic wants NAME:PARTITIONS, got '%s'", text);
  *colon = '\0';
  int partitions = (int)number("topic", colon + 1, 1, PARTITIONS_MAX);
  rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(cluster, text, partitions, 1);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "topic %s: %s", text, rd_kafka_err2str(error));
}

int main(int argc, char **argv) {
  struct list topics = {.count = 0};
  int brokers = 1, rtt_ms = 0;
  bool stay = false;
  static const struct option options[] = {
      {"brokers", required_argument, NULL, 'b'}, {"topic", required_argument, NULL, 't'},
      {"rtt-ms", required_argument, NULL, 'r'}, {"stay", no_argument, NULL, 's'},
      {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
    switch (option) {
    case 'b': brokers = (int)number("brokers", optarg, 1, BROKERS_MAX); break;
    case 'r': rtt_ms = (int)number("rtt-ms", optarg, 0, 60000); break;
    case 's': stay = true; break;
    case 't':
      if (topics.count == LIST_MAX) fail(2, "more than %d topics", LIST_MAX);
      topics.items[topics.count++] = optarg;
      break;
    case 'h': fputs(usage, stdout); return 0;
    default: fputs(usage, stderr); return 2;
    }
  }
  if (optind != argc) fail(2, "unexpected argument '%s'", argv[optind]);
  if (!stay) die_with_parent();
  /* Blocked before librdkafka starts its threads, which inherit the mask: only sigwait below takes them. */
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) fail(1, "sigprocmask: %s", strerror(errno));

  char error[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  configure(conf, "log_level", "3"); /* it warns that it has no bootstrap.servers, and needs none */
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (client == NULL) fail(1, "rd_kafka_new: %s", error);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, brokers);
  if (cluster == NULL) fail(1, "the mock cluster did not start");
  for (size_t index = 0; index < topics.count; index++) create_topic(cluster, topics.items[index]);
  for (int32_t id = 1; rtt_ms > 0 && id <= brokers; id++) {
    rd_kafka_resp_err_t code = rd_kafka_mock_broker_set_rtt(cluster, id, rtt_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(1, "round trip of broker %d: %s", id, rd_kafka_err2str(code));
  }

  printf("{\"bootstrap\":\"%s\",\"pid\":%d}\n", rd_kafka_mock_cluster_bootstraps(cluster), (int)getpid());
  if (fflush(stdout) != 0) fail(1, "cannot write to stdout");
  int received;
  if (sigwait(&signals, &received) != 0) fail(1, "sigwait failed");

  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(client);
  return 0;
}
