// The yardstick for reading entries: simdjson, doing what a no-op location needs of each. `decode FILE COUNT MODE` reads the entry
// in FILE that many times and prints one JSON object.
//
// `ondemand` touches only the fields wanted; what it passes over is not checked. `dom` checks all of both levels, as the daemon
// does. Either must copy the message first (simdjson reads up to 64 bytes beyond the end of its input, which is not ours), undo
// the escapes of `value`, and copy again for the same reason.
#include <simdjson.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace {
using simdjson::SIMDJSON_PADDING;

// What is kept of an entry; summed up so that nothing is optimised away.
struct Fields {
  std::string_view type, bucket, key, md5, lastModified, versionId, status, storageClass;
  std::string_view siteStatus;
  int64_t contentLength = -1;
  unsigned content = 0;
  bool isDeleteMarker = false;
  uint64_t sum() const {
    return bucket.size() + key.size() + md5.size() + lastModified.size() + versionId.size() + status.size() + storageClass.size() +
           siteStatus.size() + static_cast<uint64_t>(contentLength) + content + isDeleteMarker;
  }
};

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "decode: %s\n", what);
  std::exit(1);
}

unsigned kind(std::string_view name) { return name == "DATA" ? 1 : name == "METADATA" ? 2 : 4; }

// A buffer with the room simdjson wants behind the text.
class Padded {
public:
  std::string_view hold(std::string_view text) {
    if (text.size() + SIMDJSON_PADDING > bytes.size()) bytes.resize(2 * text.size() + SIMDJSON_PADDING);
    std::memcpy(bytes.data(), text.data(), text.size());
    return {bytes.data(), text.size()};
  }
  size_t capacity() const { return bytes.size(); }

private:
  std::string bytes = std::string(4096, '\0');
};

class OnDemand {
public:
  uint64_t read(std::string_view entry) {
    Fields fields;
    std::string_view value;
    {
      auto text = outerBytes.hold(entry);
      auto document = outer.iterate(text.data(), text.size(), outerBytes.capacity());
      for (auto field : document.get_object()) {
        std::string_view name = field.unescaped_key();
        if (name == "type") fields.type = field.value().get_string();
        else if (name == "bucket") fields.bucket = field.value().get_string();
        else if (name == "key") fields.key = field.value().get_string();
        else if (name == "value") value = field.value().get_string();
      }
    }
    auto text = innerBytes.hold(value);
    auto document = inner.iterate(text.data(), text.size(), innerBytes.capacity());
    for (auto field : document.get_object()) {
      std::string_view name = field.unescaped_key();
      if (name == "content-length") fields.contentLength = field.value().get_int64();
      else if (name == "content-md5") fields.md5 = field.value().get_string();
      else if (name == "last-modified") fields.lastModified = field.value().get_string();
      else if (name == "versionId") fields.versionId = field.value().get_string();
      else if (name == "isDeleteMarker") fields.isDeleteMarker = field.value().get_bool();
      else if (name == "replicationInfo") info(field.value().get_object(), fields);
    }
    return fields.sum();
  }

private:
  static void info(simdjson::ondemand::object object, Fields &fields) {
    for (auto field : object) {
      std::string_view name = field.unescaped_key();
      if (name == "status") fields.status = field.value().get_string();
      else if (name == "storageClass") fields.storageClass = field.value().get_string();
      else if (name == "content") {
        for (auto item : field.value().get_array()) fields.content |= kind(std::string_view(item.get_string()));
      } else if (name == "backends") {
        for (auto item : field.value().get_array()) {
          std::string_view site, status;
          for (auto member : item.get_object()) {
            std::string_view which = member.unescaped_key();
            if (which == "site") site = member.value().get_string();
            else if (which == "status") status = member.value().get_string();
          }
          if (site == "noop") fields.siteStatus = status;
        }
      }
    }
  }

  simdjson::ondemand::parser outer, inner;
  Padded outerBytes, innerBytes;
};

class DOM {
public:
  uint64_t read(std::string_view entry) {
    Fields fields;
    std::string_view value;
    auto text = outerBytes.hold(entry);
    simdjson::dom::object envelope = outer.parse(text.data(), text.size(), false);
    for (auto field : envelope) {
      if (field.key == "type") fields.type = field.value.get_string();
      else if (field.key == "bucket") fields.bucket = field.value.get_string();
      else if (field.key == "key") fields.key = field.value.get_string();
      else if (field.key == "value") value = field.value.get_string();
    }
    text = innerBytes.hold(value);
    simdjson::dom::object metadata = inner.parse(text.data(), text.size(), false);
    for (auto field : metadata) {
      if (field.key == "content-length") fields.contentLength = field.value.get_int64();
      else if (field.key == "content-md5") fields.md5 = field.value.get_string();
      else if (field.key == "last-modified") fields.lastModified = field.value.get_string();
      else if (field.key == "versionId") fields.versionId = field.value.get_string();
      else if (field.key == "isDeleteMarker") fields.isDeleteMarker = field.value.get_bool();
      else if (field.key == "replicationInfo") info(field.value, fields);
    }
    return fields.sum();
  }

private:
  static void info(simdjson::dom::object object, Fields &fields) {
    for (auto field : object) {
      if (field.key == "status") fields.status = field.value.get_string();
      else if (field.key == "storageClass") fields.storageClass = field.value.get_string();
      else if (field.key == "content") {
        for (auto item : simdjson::dom::array(field.value)) fields.content |= kind(std::string_view(item));
      } else if (field.key == "backends") {
        for (auto item : simdjson::dom::array(field.value)) {
          simdjson::dom::object backend = item;
          if (std::string_view(backend["site"]) == "noop") fields.siteStatus = backend["status"].get_string();
        }
      }
    }
  }

  simdjson::dom::parser outer, inner;
  Padded outerBytes, innerBytes;
};

double cpuNanoseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

template <class Reader> void run(std::string_view entry, long count) {
  Reader reader;
  uint64_t sum = 0;
  for (long i = 0; i < count / 10; i++) sum += reader.read(entry); // warm
  double before = cpuNanoseconds();
  for (long i = 0; i < count; i++) sum += reader.read(entry);
  double after = cpuNanoseconds();
  std::printf("{\"bytes\":%zu,\"count\":%ld,\"ns\":%.1f,\"sum\":%llu,\"implementation\":\"%s\"}\n", entry.size(), count,
              (after - before) / static_cast<double>(count), static_cast<unsigned long long>(sum),
              simdjson::get_active_implementation()->name().c_str());
}
} // namespace

int main(int argc, char **argv) {
  long count = argc == 4 ? std::atol(argv[2]) : 0;
  if (count <= 0) {
    std::fprintf(stderr, "usage: decode FILE COUNT ondemand|dom\n");
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  std::string entry((std::istreambuf_iterator<char>(file)), {});
  if (entry.empty()) fail("nothing in the file");
  try {
    if (std::string_view(argv[3]) == "dom") run<DOM>(entry, count);
    else run<OnDemand>(entry, count);
  } catch (const simdjson::simdjson_error &error) {
    fail(error.what());
  }
}
