/* Backbeat-format replication entries: the envelope with the metadata JSON as an escaped string inside it. */
#ifndef DOWNBEAT_PERF_ENTRY_H
#define DOWNBEAT_PERF_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#define ENTRY_BYTES_MAX 16384
#define KEY_BYTES_MAX 256

struct entry_options {
  const char *bucket;
  size_t bytes;            /* of the Kafka value, reached exactly by padding user metadata */
  const char *const *sites; /* the backends named in the entry */
  size_t site_count;
  int64_t length;          /* content-length of every object; 0: different ones */
  const char *md5;         /* content-md5 of every object; NULL: different ones */
};

/* Writes the entry of object `object` in its `version`-th version. Returns the value's length, or 0 if `bytes` is too small to
 * hold such an entry. `key` receives the message key (percent-encoded "<bucket>/<object key>"). A value below 900 bytes carries
 * only the members a consumer needs; above that, all that the original writes. */
size_t entry_write(const struct entry_options *options, int64_t object, int64_t version, char *value, char *key, size_t *key_length);

#endif
