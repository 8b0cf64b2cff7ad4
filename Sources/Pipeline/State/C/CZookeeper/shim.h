#ifndef THREADED
#define THREADED
#endif
#include <zookeeper/zookeeper.h>
