#ifndef THREADED
#define THREADED
#endif
#pragma clang module import SwiftGlibc
#include <zookeeper/zookeeper.h>
