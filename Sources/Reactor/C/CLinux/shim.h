// Linux calls that Swift's Glibc module does not export: epoll, eventfd, signalfd, openat2, accept4 and a few macros.
// Header only: every function is static inline, so this module links nothing.
//
// Every shim of this project imports Swift's Glibc module before it includes anything: else both modules hold what is in
// <sys/socket.h> or <poll.h>, which of them a declaration belongs to depends on the order of files, and a build that passes
// today fails when the next file is added. What a shim declares besides is its own. Swift's shims hold copies too (pthread_attr_t,
// winsize), and files find them through this module: so who imports Glibc imports CLinux as well.
//
// No shim defines _GNU_SOURCE: Swift builds its Glibc module without it, and two modules that see different feature macros
// hold two definitions of fd_set and rusage. What only GNU headers declare is declared here by hand.
#ifndef DOWNBEAT_CLINUX_H
#define DOWNBEAT_CLINUX_H
#pragma clang module import SwiftGlibc
#pragma clang module import SwiftOverlayShims
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <limits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static inline int db_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

static inline int64_t db_monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t db_realtime_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// From headers that need _GNU_SOURCE.
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
extern int pipe2(int fds[2], int flags);
extern int pthread_setname_np(pthread_t thread, const char *name);
static const int DB_SOCK_NONBLOCK = SOCK_NONBLOCK;
static const int DB_SOCK_CLOEXEC = SOCK_CLOEXEC;
extern ssize_t getdents64(int fd, void *buffer, size_t length);
extern int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *result);
#ifndef O_PATH
#define O_PATH 010000000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

static inline int db_renameat2(int from, const char *old_path, int to, const char *new_path, unsigned flags) {
  return (int)syscall(SYS_renameat2, from, old_path, to, new_path, flags);
}

// Starts writing a file's dirty pages to disk without waiting for them (SYNC_FILE_RANGE_WRITE).
static inline int db_start_write_back(int fd) { return (int)syscall(SYS_sync_file_range, fd, 0L, 0L, 2U); }

// Macros in C.
static inline unsigned db_major(dev_t device) { return major(device); }
static inline unsigned db_minor(dev_t device) { return minor(device); }

static inline int db_syncfs(int fd) { return (int)syscall(SYS_syncfs, fd); }

// Binds the calling thread to one processor; for measurements.
static inline int db_pin_thread(unsigned cpu) {
  unsigned long mask[16];
  memset(mask, 0, sizeof mask);
  if (cpu >= 8 * sizeof mask) return -1;
  mask[cpu / (8 * sizeof mask[0])] = 1ul << (cpu % (8 * sizeof mask[0]));
  return (int)syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

static inline int db_terminal_size(int fd, uint16_t *columns, uint16_t *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return -1;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}

// In Swift the name flock is the struct of fcntl(2).
static inline int db_flock(int fd, int operation) { return flock(fd, operation); }

// fallocate with FALLOC_FL_KEEP_SIZE: room on disk after the end of the file.
static inline int db_reserve(int fd, int64_t offset, int64_t length) {
  return (int)syscall(SYS_fallocate, fd, 1, offset, length);
}

static inline int db_gettid(void) { return (int)syscall(SYS_gettid); }
#endif
