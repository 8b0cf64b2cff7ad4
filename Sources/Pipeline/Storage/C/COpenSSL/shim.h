// The digests' own functions, not EVP: their state is a plain value that lies where it is used and can be copied. OpenSSL 3 calls
// them deprecated and keeps them.
#define OPENSSL_SUPPRESS_DEPRECATED 1
#pragma clang module import SwiftGlibc
#include <openssl/md5.h>
#include <openssl/sha.h>
