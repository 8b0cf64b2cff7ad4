/* The floor of the scenario `copy`: the same bytes from one HTTP server to another with read and write, one thread and two kept
 * connections for each object in flight. It knows as much HTTP as these two servers need, and nothing can be faster by much. */
#define _GNU_SOURCE 1
#include "common.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024)
#define THREADS_MAX 256

static const char usage[] = "Usage: copyrelay --source-port P --target-port P --count N [--in-flight K]\n";

static int64_t count;
static int source_port, target_port;
static atomic_llong next_object, bytes_moved;

static int open_port(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail(1, "cannot connect to port %d", port);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t done = write(fd, bytes, length);
    if (done <= 0) fail(1, "write");
    bytes += done;
    length -= (size_t)done;
  }
}

/* Reads a head. Returns the bytes of body that came with it, moved to the front of the buffer; *length gets Content-Length. */
static size_t read_head(int fd, char *buffer, long long *length, const char *wanted) {
  size_t used = 0;
  char *end = NULL;
  while (end == NULL) {
    ssize_t got = read(fd, buffer + used, BUFFER_BYTES - used - 1);
    if (got <= 0) fail(1, "the connection ended inside a head");
    used += (size_t)got;
    buffer[used] = 0;
    end = memmem(buffer, used, "\r\n\r\n", 4);
  }
  if (strncmp(buffer + 9, wanted, strlen(wanted)) != 0) fail(1, "answer: %.40s", buffer);
  *end = 0;
  char *field = strcasestr(buffer, "\r\ncontent-length:");
  *length = field ? atoll(field + 17) : 0;
  size_t body = used - (size_t)(end + 4 - buffer);
  memmove(buffer, end + 4, body);
  return body;
}

static void *work(void *context) {
  (void)context;
  char *buffer = malloc(BUFFER_BYTES), head[512];
  int source = open_port(source_port), target = open_port(target_port);
  for (long long object; (object = atomic_fetch_add(&next_object, 1)) < count;) {
    long long length, ignored;
    int size = snprintf(head, sizeof head, "GET /photos/2031/02/cat-%012lld.png HTTP/1.1\r\nHost: a\r\n\r\n", object);
    write_all(source, head, (size_t)size);
    size_t have = read_head(source, buffer, &length, "200");
    size = snprintf(head, sizeof head, "PUT /copies/photos/2031/02/cat-%012lld.png HTTP/1.1\r\nHost: a\r\nContent-Length: %lld\r\n\r\n", object, length);
    write_all(target, head, (size_t)size);
    for (long long left = length; left > 0;) {
      if (have == 0) {
        ssize_t got = read(source, buffer, BUFFER_BYTES);
        if (got <= 0) fail(1, "the connection ended inside a body");
        have = (size_t)got;
      }
      write_all(target, buffer, have);
      left -= (long long)have;
      atomic_fetch_add(&bytes_moved, (long long)have);
      have = 0;
    }
    have = read_head(target, buffer, &ignored, "20");
    while ((long long)have < ignored) {
      ssize_t got = read(target, buffer, BUFFER_BYTES);
      if (got <= 0) fail(1, "the connection ended inside an answer");
      have += (size_t)got;
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"source-port", required_argument, NULL, 's'}, {"target-port", required_argument, NULL, 't'},
                                          {"count", required_argument, NULL, 'n'},       {"in-flight", required_argument, NULL, 'k'}, {0}};
  int in_flight = 16;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
    case 's': source_port = (int)number("source-port", optarg, 1, 65535); break;
    case 't': target_port = (int)number("target-port", optarg, 1, 65535); break;
    case 'n': count = number("count", optarg, 1, 100000000); break;
    case 'k': in_flight = (int)number("in-flight", optarg, 1, THREADS_MAX); break;
    default: fputs(usage, stderr); return 2;
    }
  }
  if (source_port == 0 || target_port == 0 || count == 0) {
    fputs(usage, stderr);
    return 2;
  }
  double began = monotonic_seconds();
  pthread_t threads[THREADS_MAX];
  for (int index = 0; index < in_flight; index++) pthread_create(&threads[index], NULL, work, NULL);
  for (int index = 0; index < in_flight; index++) pthread_join(threads[index], NULL);
  printf("{\"objects\":%lld,\"bytes\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"max_rss_kb\":%ld}\n", (long long)count,
         (long long)bytes_moved, monotonic_seconds() - began, process_cpu_seconds(), max_rss_kb());
  return 0;
}
