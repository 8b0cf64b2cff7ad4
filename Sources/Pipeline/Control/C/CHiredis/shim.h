#pragma clang module import SwiftGlibc
#include <hiredis/hiredis.h>
#include <hiredis/async.h>
