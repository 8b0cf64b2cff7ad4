// glibc's headers first: liburing defines _XOPEN_SOURCE, which must not change what they declare (see CLinux/shim.h).
#pragma clang module import SwiftGlibc
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <liburing.h>
