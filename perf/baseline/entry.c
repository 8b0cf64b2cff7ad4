/* See entry.h. The members and their order are those of the original's queue populator. */
#define _GNU_SOURCE 1
#include "entry.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FULL_BYTES_MIN 900

struct text {
  char bytes[ENTRY_BYTES_MAX];
  size_t length;
  bool overflow;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = sizeof text->bytes - text->length;
  int length = vsnprintf(text->bytes + text->length, room, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= room)
    text->overflow = true;
  else
    text->length += (size_t)length;
}

static void add_backends(struct text *inner, const struct entry_options *options, bool full) {
  add(inner, "\"backends\":[");
  for (size_t index = 0; index < options->site_count; index++)
    add(inner, "%s{\"site\":\"%s\",\"status\":\"PENDING\"%s}", index == 0 ? "" : ",", options->sites[index],
        full ? ",\"dataStoreVersionId\":\"\"" : "");
  add(inner, "],");
}

static void add_storage_class(struct text *inner, const struct entry_options *options) {
  add(inner, "\"storageClass\":\"");
  for (size_t index = 0; index < options->site_count; index++) add(inner, "%s%s", index == 0 ? "" : ",", options->sites[index]);
  add(inner, "\"");
}

/* A spread of 64 bits, so that checksums and sizes differ between objects as real ones do. */
static uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

/* The version is in the entry's key alone: with it twice, 300 bytes do not hold an entry. */
static void add_small_inner(struct text *inner, const struct entry_options *options, int64_t object) {
  add(inner, "{\"content-length\":%d,\"replicationInfo\":{\"status\":\"PENDING\",", (int)(mix((uint64_t)object) % 900) + 100);
  add_backends(inner, options, false);
  add(inner, "\"content\":[\"DATA\"],");
  add_storage_class(inner, options);
  add(inner, "},\"x\":\"");
}

static void add_full_inner(struct text *inner, const struct entry_options *options, int64_t object, const char *version) {
  uint64_t high = mix((uint64_t)object), low = mix(high);
  long long size = options->length > 0 ? (long long)options->length : (long long)(high % 1000000) + 1000;
  char md5[33];
  if (options->md5 != NULL)
    snprintf(md5, sizeof md5, "%s", options->md5);
  else
    snprintf(md5, sizeof md5, "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
  add(inner, "{\"md-model-version\":3,\"owner-display-name\":\"zoo\",\"owner-id\":"
             "\"9f1c2d3e4b5a69788796a5b4c3d2e1f09f1c2d3e4b5a69788796a5b4c3d2e1f0\",\"cache-control\":\"\",\"content-disposition\":\"\","
             "\"content-encoding\":\"\",\"expires\":\"\",\"content-length\":%lld,\"content-type\":\"image/png\",\"content-md5\":\"%s\","
             "\"last-modified\":\"2031-02-03T04:05:06.789Z\",\"x-amz-version-id\":\"null\",\"x-amz-server-version-id\":\"\","
             "\"x-amz-storage-class\":\"STANDARD\",\"versionId\":\"%s\",",
      size, md5, version);
  add(inner, "\"location\":[{\"key\":\"%016llx\",\"size\":%lld,\"start\":0,\"dataStoreName\":\"us-east-1\",\"dataStoreETag\":\"1:%s\"}],"
             "\"dataStoreName\":\"us-east-1\",\"originOp\":\"s3:ObjectCreated:Put\",\"isDeleteMarker\":false,\"tags\":{\"k\":\"v\"},"
             "\"acl\":{\"Canned\":\"private\",\"FULL_CONTROL\":[],\"WRITE_ACP\":[],\"READ\":[],\"READ_ACP\":[]},",
      (unsigned long long)low, size, md5);
  add(inner, "\"replicationInfo\":{\"status\":\"PENDING\",");
  add_backends(inner, options, true);
  add(inner, "\"content\":[\"DATA\",\"METADATA\"],\"destination\":\"arn:aws:s3:::%s\",", options->bucket);
  add_storage_class(inner, options);
  add(inner, ",\"role\":\"arn:aws:iam::111122223333:role/src,arn:aws:iam::444455556666:role/dst\",\"storageType\":\"aws_s3\","
             "\"dataStoreVersionId\":\"\",\"isNFS\":null},\"x-amz-meta-origin\":\"");
}

static size_t escaped_length(const struct text *text) {
  size_t length = text->length;
  for (size_t index = 0; index < text->length; index++)
    if (text->bytes[index] == '"') length += 1;
  return length;
}

static char *copy(char *to, const char *bytes, size_t length) { return (char *)memcpy(to, bytes, length) + length; }

size_t entry_write(const struct entry_options *options, int64_t object, int64_t version, char *value, char *key, size_t *key_length) {
  bool full = options->bytes >= FULL_BYTES_MIN;
  char version_id[64], object_key[64];
  /* 14 digits of reversed time, 6 of reversed sequence, 7 of the group: newer versions sort first. */
  snprintf(version_id, sizeof version_id, "%014lld%06dRG001  ", 98123456789012LL - version, 999999 - (int)(object % 1000000));
  snprintf(object_key, sizeof object_key, full ? "2031/02/cat-%012lld.png" : "%012lld", (long long)object);
  int length = snprintf(key, KEY_BYTES_MAX, full ? "%s%%2F2031%%2F02%%2Fcat-%012lld.png" : "%s%%2F%012lld", options->bucket, (long long)object);
  if (length < 0 || length >= KEY_BYTES_MAX) return 0;
  *key_length = (size_t)length;

  struct text inner = {.length = 0}, head = {.length = 0}, tail = {.length = 0};
  add(&head, "{\"type\":\"put\",\"bucket\":\"%s\",\"key\":\"%s\\u0000%s\",\"value\":\"", options->bucket, object_key, version_id);
  full ? add_full_inner(&inner, options, object, version_id) : add_small_inner(&inner, options, object);
  if (full)
    add(&tail, "\",\"overheadFields\":{\"commitTimestamp\":\"2031-02-03T04:05:06.800Z\",\"opTimestamp\":null,\"versionId\":\"%s\"}}", version_id);
  else
    add(&tail, "\"}");
  static const char close[] = "\\\"}";
  size_t fixed = head.length + escaped_length(&inner) + strlen(close) + tail.length;
  if (inner.overflow || head.overflow || tail.overflow || fixed > options->bytes || options->bytes > ENTRY_BYTES_MAX) return 0;

  char *to = copy(value, head.bytes, head.length);
  for (size_t index = 0; index < inner.length; index++) {
    if (inner.bytes[index] == '"') *to++ = '\\';
    *to++ = inner.bytes[index];
  }
  memset(to, 'p', options->bytes - fixed);
  to += options->bytes - fixed;
  to = copy(to, close, strlen(close));
  to = copy(to, tail.bytes, tail.length);
  return (size_t)(to - value);
}
