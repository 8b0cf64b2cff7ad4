/* The yardstick of the scenario `copy`: objects from one HTTP server to another with libcurl's multi interface and nothing else: a
 * GET and a PUT for each, a ring between them, paused in both directions. No signatures, no look at the target, no status. With
 * --md5 the bytes are digested on the way, as whoever promises that they are right must. */
#define _GNU_SOURCE 1
#include "common.h"

#include <curl/curl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES (512 * 1024)
#define SLOTS_MAX 256

static const char usage[] =
    "Usage: copycurl --source URL --target URL --count N [--in-flight K] [--md5]\n"
    "Copies <source>/photos/2031/02/cat-<number>.png to the same path below <target>.\n"
    "Prints one JSON object: objects, bytes, seconds, cpu_seconds, max_rss_kb.\n";

struct slot {
  CURL *get, *put;
  char *ring;
  size_t head, used;
  bool get_paused, put_paused, put_running, get_done, put_done;
  EVP_MD_CTX *digest;
  struct curl_slist *headers;
};

static const char *source_url, *target_url;
static int64_t count, next_object, finished, bytes_moved;
static int in_flight = 16;
static bool with_md5;
static CURLM *multi;
static struct slot slots[SLOTS_MAX];

static void start_put(struct slot *slot) {
  curl_off_t length = -1;
  curl_easy_getinfo(slot->get, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length < 0) fail(1, "an answer without a length");
  curl_easy_setopt(slot->put, CURLOPT_INFILESIZE_LARGE, length);
  curl_multi_add_handle(multi, slot->put);
  slot->put_running = true;
}

static size_t on_bytes(char *bytes, size_t size, size_t number, void *context) {
  struct slot *slot = context;
  size_t length = size * number;
  if (RING_BYTES - slot->used < length) {
    slot->get_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  size_t at = (slot->head + slot->used) % RING_BYTES, first = RING_BYTES - at < length ? RING_BYTES - at : length;
  memcpy(slot->ring + at, bytes, first);
  memcpy(slot->ring, bytes + first, length - first);
  slot->used += length;
  bytes_moved += (int64_t)length;
  if (with_md5) EVP_DigestUpdate(slot->digest, bytes, length);
  return length;
}

static size_t take_bytes(char *room, size_t size, size_t number, void *context) {
  struct slot *slot = context;
  size_t length = size * number < slot->used ? size * number : slot->used;
  if (length == 0) {
    if (slot->get_done) return 0;
    slot->put_paused = true;
    return CURL_READFUNC_PAUSE;
  }
  size_t first = RING_BYTES - slot->head < length ? RING_BYTES - slot->head : length;
  memcpy(room, slot->ring + slot->head, first);
  memcpy(room + first, slot->ring, length - first);
  slot->head = (slot->head + length) % RING_BYTES;
  slot->used -= length;
  return length;
}

static size_t drop_bytes(char *bytes, size_t size, size_t number, void *context) {
  (void)bytes;
  (void)context;
  return size * number;
}

static void start(struct slot *slot) {
  if (next_object >= count) return;
  char url[512];
  long long object = (long long)next_object++;
  slot->head = slot->used = 0;
  slot->get_paused = slot->put_paused = slot->put_running = slot->get_done = slot->put_done = false;
  snprintf(url, sizeof url, "%s/photos/2031/02/cat-%012lld.png", source_url, object);
  curl_easy_setopt(slot->get, CURLOPT_URL, url);
  snprintf(url, sizeof url, "%s/photos/2031/02/cat-%012lld.png", target_url, object);
  curl_easy_setopt(slot->put, CURLOPT_URL, url);
  if (with_md5) EVP_DigestInit_ex(slot->digest, EVP_md5(), NULL);
  curl_multi_add_handle(multi, slot->get);
}

static void setup(struct slot *slot) {
  slot->get = curl_easy_init();
  slot->put = curl_easy_init();
  slot->ring = malloc(RING_BYTES);
  slot->digest = EVP_MD_CTX_new();
  slot->headers = curl_slist_append(curl_slist_append(NULL, "Expect:"), "Accept:");
  CURL *both[] = {slot->get, slot->put};
  for (size_t index = 0; index < 2; index++) {
    curl_easy_setopt(both[index], CURLOPT_PRIVATE, slot);
    curl_easy_setopt(both[index], CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(both[index], CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(both[index], CURLOPT_BUFFERSIZE, 131072L);
    curl_easy_setopt(both[index], CURLOPT_FAILONERROR, 1L);
  }
  curl_easy_setopt(slot->get, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(slot->get, CURLOPT_WRITEDATA, slot);
  curl_easy_setopt(slot->put, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(slot->put, CURLOPT_UPLOAD_BUFFERSIZE, 131072L);
  curl_easy_setopt(slot->put, CURLOPT_READFUNCTION, take_bytes);
  curl_easy_setopt(slot->put, CURLOPT_READDATA, slot);
  curl_easy_setopt(slot->put, CURLOPT_WRITEFUNCTION, drop_bytes);
  curl_easy_setopt(slot->put, CURLOPT_HTTPHEADER, slot->headers);
}

/* The other direction of a slot may go on: never from inside a callback. */
static void resume(struct slot *slot) {
  if (!slot->put_running && (slot->used > 0 || slot->get_done)) start_put(slot);
  if (slot->put_paused && (slot->used > 0 || slot->get_done)) {
    slot->put_paused = false;
    curl_easy_pause(slot->put, CURLPAUSE_CONT);
  }
  if (slot->get_paused && slot->used <= RING_BYTES / 2) {
    slot->get_paused = false;
    curl_easy_pause(slot->get, CURLPAUSE_CONT);
  }
}

static void collect(void) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    struct slot *slot;
    CURL *easy = message->easy_handle;
    if (message->data.result != CURLE_OK) fail(1, "%s", curl_easy_strerror(message->data.result));
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
    if (easy == slot->get) {
      slot->get_done = true;
      if (with_md5) {
        unsigned char digest[16];
        EVP_DigestFinal_ex(slot->digest, digest, NULL);
      }
      if (!slot->put_running) start_put(slot);
    } else {
      slot->put_done = true;
    }
    if (easy == slot->put || slot->put_done) curl_multi_remove_handle(multi, easy);
    if (easy == slot->get) curl_multi_remove_handle(multi, easy);
    if (slot->get_done && slot->put_done) {
      finished += 1;
      start(slot);
    }
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"source", required_argument, NULL, 's'},    {"target", required_argument, NULL, 't'}, {"count", required_argument, NULL, 'n'},
      {"in-flight", required_argument, NULL, 'k'}, {"md5", no_argument, NULL, 'm'},          {0}};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
    case 's': source_url = optarg; break;
    case 't': target_url = optarg; break;
    case 'n': count = number("count", optarg, 1, 100000000); break;
    case 'k': in_flight = (int)number("in-flight", optarg, 1, SLOTS_MAX); break;
    case 'm': with_md5 = true; break;
    default: fputs(usage, stderr); return 2;
    }
  }
  if (!source_url || !target_url || count == 0) {
    fputs(usage, stderr);
    return 2;
  }
  curl_global_init(CURL_GLOBAL_ALL);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 128L);
  double began = monotonic_seconds();
  for (int index = 0; index < in_flight; index++) {
    setup(&slots[index]);
    start(&slots[index]);
  }
  while (finished < count) {
    int running;
    curl_multi_perform(multi, &running);
    collect();
    bool waits = true;
    for (int index = 0; index < in_flight; index++) {
      struct slot *slot = &slots[index];
      bool was_paused = slot->get_paused || slot->put_paused || !slot->put_running;
      resume(slot);
      if (was_paused && !(slot->get_paused || slot->put_paused || !slot->put_running)) waits = false;
    }
    if (waits && finished < count) curl_multi_poll(multi, NULL, 0, 100, NULL);
  }
  printf("{\"objects\":%lld,\"bytes\":%lld,\"seconds\":%.4f,\"cpu_seconds\":%.4f,\"max_rss_kb\":%ld}\n", (long long)finished,
         (long long)bytes_moved, monotonic_seconds() - began, process_cpu_seconds(), max_rss_kb());
  return 0;
}
