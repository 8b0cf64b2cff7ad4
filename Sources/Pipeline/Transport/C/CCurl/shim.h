// libcurl's options and information are variadic, which Swift cannot call: one typed function for each kind of argument.
#pragma clang module import SwiftGlibc
#include <curl/curl.h>

static inline CURLcode db_easy_set_long(CURL *easy, CURLoption option, long value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode db_easy_set_size(CURL *easy, CURLoption option, curl_off_t value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode db_easy_set_text(CURL *easy, CURLoption option, const char *value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode db_easy_set_pointer(CURL *easy, CURLoption option, void *value) { return curl_easy_setopt(easy, option, value); }
static inline CURLcode db_easy_set_headers(CURL *easy, struct curl_slist *list) { return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list); }

// Of write, header and read function.
typedef size_t (*db_data_callback)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode db_easy_set_callback(CURL *easy, CURLoption option, db_data_callback callback) {
  return curl_easy_setopt(easy, option, callback);
}

static inline void *db_easy_private(CURL *easy) {
  char *pointer = 0;
  return curl_easy_getinfo(easy, CURLINFO_PRIVATE, &pointer) == CURLE_OK ? pointer : 0;
}
static inline long db_easy_status(CURL *easy) {
  long status = 0;
  return curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}
// The errno of the last failed connect; 0 if it was not that.
static inline long db_easy_errno(CURL *easy) {
  long code = 0;
  return curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &code) == CURLE_OK ? code : 0;
}

static inline CURLMcode db_multi_set_long(CURLM *multi, CURLMoption option, long value) { return curl_multi_setopt(multi, option, value); }
static inline CURLMcode db_multi_set_socket(CURLM *multi, curl_socket_callback callback, void *context) {
  CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
  return code == CURLM_OK ? curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, callback) : code;
}
static inline CURLMcode db_multi_set_timer(CURLM *multi, curl_multi_timer_callback callback, void *context) {
  CURLMcode code = curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
  return code == CURLM_OK ? curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, callback) : code;
}
// The next transfer that has ended; NULL if there is none.
static inline CURL *db_multi_next_done(CURLM *multi, CURLcode *result) {
  int left = 0;
  CURLMsg *message;
  while ((message = curl_multi_info_read(multi, &left)))
    if (message->msg == CURLMSG_DONE) {
      *result = message->data.result;
      return message->easy_handle;
    }
  return 0;
}

// Macros with casts, which Swift does not import.
static const size_t db_read_pause = CURL_READFUNC_PAUSE;
static const size_t db_read_abort = CURL_READFUNC_ABORT;
static const size_t db_write_pause = CURL_WRITEFUNC_PAUSE;
static const curl_socket_t db_socket_timeout = CURL_SOCKET_TIMEOUT;
static const long db_global_all = CURL_GLOBAL_ALL;
