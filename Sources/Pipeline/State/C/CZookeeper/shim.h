#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef THREADED
#define THREADED
#endif
#include <zookeeper/zookeeper.h>
