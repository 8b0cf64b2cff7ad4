// MD5 of eight messages side by side, for processors with AVX2: one message cannot be digested faster, because each step needs the
// one before, but a step of eight messages costs little more than a step of one. With AVX-512VL the same source becomes rotations
// and three-operand logic. Header only: this module links nothing. Elsewhere `db_md5_lanes` is 0 and nobody calls the rest.
#ifndef DOWNBEAT_CDIGEST_H
#define DOWNBEAT_CDIGEST_H
#pragma clang module import SwiftGlibc
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DB_MD5_LANES 8

#if defined(__x86_64__) && defined(__clang__)
#include <immintrin.h>

typedef uint32_t db_words __attribute__((vector_size(32)));

#define DB_MD5_ROTATE(x, s) (((x) << (s)) | ((x) >> (32 - (s))))
// Each step waits for the one before, so what it waits with counts, not how much there is to do: everything that is known early is
// added up first, and the empty assembly keeps the compiler from adding it in another order (a quarter slower).
#define DB_MD5_STEP(a, b, f, m, k, s) \
  { \
    db_words early = a + ((m) + (uint32_t)(k)); \
    __asm__("" : "+x"(early)); \
    a = early + (f); \
    a = DB_MD5_ROTATE(a, s) + b; \
  }
#define DB_MD5_F(a, b, c, d, m, k, s) DB_MD5_STEP(a, b, d ^ (b & (c ^ d)), m, k, s)
#define DB_MD5_G(a, b, c, d, m, k, s) DB_MD5_STEP(a, b, c ^ (d & (b ^ c)), m, k, s)
#define DB_MD5_H(a, b, c, d, m, k, s) DB_MD5_STEP(a, b, b ^ c ^ d, m, k, s)
#define DB_MD5_I(a, b, c, d, m, k, s) DB_MD5_STEP(a, b, c ^ (b | ~d), m, k, s)

// Eight rows of eight words become eight columns.
#define DB_TRANSPOSE(out, in) \
  do { \
    __m256i t0 = _mm256_unpacklo_epi32(in[0], in[1]), t1 = _mm256_unpackhi_epi32(in[0], in[1]); \
    __m256i t2 = _mm256_unpacklo_epi32(in[2], in[3]), t3 = _mm256_unpackhi_epi32(in[2], in[3]); \
    __m256i t4 = _mm256_unpacklo_epi32(in[4], in[5]), t5 = _mm256_unpackhi_epi32(in[4], in[5]); \
    __m256i t6 = _mm256_unpacklo_epi32(in[6], in[7]), t7 = _mm256_unpackhi_epi32(in[6], in[7]); \
    __m256i u0 = _mm256_unpacklo_epi64(t0, t2), u1 = _mm256_unpackhi_epi64(t0, t2); \
    __m256i u2 = _mm256_unpacklo_epi64(t1, t3), u3 = _mm256_unpackhi_epi64(t1, t3); \
    __m256i u4 = _mm256_unpacklo_epi64(t4, t6), u5 = _mm256_unpackhi_epi64(t4, t6); \
    __m256i u6 = _mm256_unpacklo_epi64(t5, t7), u7 = _mm256_unpackhi_epi64(t5, t7); \
    (out)[0] = (db_words)_mm256_permute2x128_si256(u0, u4, 0x20); (out)[1] = (db_words)_mm256_permute2x128_si256(u1, u5, 0x20); \
    (out)[2] = (db_words)_mm256_permute2x128_si256(u2, u6, 0x20); (out)[3] = (db_words)_mm256_permute2x128_si256(u3, u7, 0x20); \
    (out)[4] = (db_words)_mm256_permute2x128_si256(u0, u4, 0x31); (out)[5] = (db_words)_mm256_permute2x128_si256(u1, u5, 0x31); \
    (out)[6] = (db_words)_mm256_permute2x128_si256(u2, u6, 0x31); (out)[7] = (db_words)_mm256_permute2x128_si256(u3, u7, 0x31); \
  } while (0)

#define DB_MD5_BODY \
  db_words a = state[0], b = state[1], c = state[2], d = state[3], m[16]; \
  for (size_t block = 0; block < blocks; block++) { \
    for (int half = 0; half < 2; half++) { \
      __m256i rows[8]; \
      for (int lane = 0; lane < 8; lane++) rows[lane] = _mm256_loadu_si256((const __m256i *)(lanes[lane] + 64 * block + 32 * half)); \
      DB_TRANSPOSE(m + 8 * half, rows); \
    } \
    db_words a0 = a, b0 = b, c0 = c, d0 = d; \
    DB_MD5_F(a, b, c, d, m[0], 0xD76AA478, 7) DB_MD5_F(d, a, b, c, m[1], 0xE8C7B756, 12) \
    DB_MD5_F(c, d, a, b, m[2], 0x242070DB, 17) DB_MD5_F(b, c, d, a, m[3], 0xC1BDCEEE, 22) \
    DB_MD5_F(a, b, c, d, m[4], 0xF57C0FAF, 7) DB_MD5_F(d, a, b, c, m[5], 0x4787C62A, 12) \
    DB_MD5_F(c, d, a, b, m[6], 0xA8304613, 17) DB_MD5_F(b, c, d, a, m[7], 0xFD469501, 22) \
    DB_MD5_F(a, b, c, d, m[8], 0x698098D8, 7) DB_MD5_F(d, a, b, c, m[9], 0x8B44F7AF, 12) \
    DB_MD5_F(c, d, a, b, m[10], 0xFFFF5BB1, 17) DB_MD5_F(b, c, d, a, m[11], 0x895CD7BE, 22) \
    DB_MD5_F(a, b, c, d, m[12], 0x6B901122, 7) DB_MD5_F(d, a, b, c, m[13], 0xFD987193, 12) \
    DB_MD5_F(c, d, a, b, m[14], 0xA679438E, 17) DB_MD5_F(b, c, d, a, m[15], 0x49B40821, 22) \
    DB_MD5_G(a, b, c, d, m[1], 0xF61E2562, 5) DB_MD5_G(d, a, b, c, m[6], 0xC040B340, 9) \
    DB_MD5_G(c, d, a, b, m[11], 0x265E5A51, 14) DB_MD5_G(b, c, d, a, m[0], 0xE9B6C7AA, 20) \
    DB_MD5_G(a, b, c, d, m[5], 0xD62F105D, 5) DB_MD5_G(d, a, b, c, m[10], 0x02441453, 9) \
    DB_MD5_G(c, d, a, b, m[15], 0xD8A1E681, 14) DB_MD5_G(b, c, d, a, m[4], 0xE7D3FBC8, 20) \
    DB_MD5_G(a, b, c, d, m[9], 0x21E1CDE6, 5) DB_MD5_G(d, a, b, c, m[14], 0xC33707D6, 9) \
    DB_MD5_G(c, d, a, b, m[3], 0xF4D50D87, 14) DB_MD5_G(b, c, d, a, m[8], 0x455A14ED, 20) \
    DB_MD5_G(a, b, c, d, m[13], 0xA9E3E905, 5) DB_MD5_G(d, a, b, c, m[2], 0xFCEFA3F8, 9) \
    DB_MD5_G(c, d, a, b, m[7], 0x676F02D9, 14) DB_MD5_G(b, c, d, a, m[12], 0x8D2A4C8A, 20) \
    DB_MD5_H(a, b, c, d, m[5], 0xFFFA3942, 4) DB_MD5_H(d, a, b, c, m[8], 0x8771F681, 11) \
    DB_MD5_H(c, d, a, b, m[11], 0x6D9D6122, 16) DB_MD5_H(b, c, d, a, m[14], 0xFDE5380C, 23) \
    DB_MD5_H(a, b, c, d, m[1], 0xA4BEEA44, 4) DB_MD5_H(d, a, b, c, m[4], 0x4BDECFA9, 11) \
    DB_MD5_H(c, d, a, b, m[7], 0xF6BB4B60, 16) DB_MD5_H(b, c, d, a, m[10], 0xBEBFBC70, 23) \
    DB_MD5_H(a, b, c, d, m[13], 0x289B7EC6, 4) DB_MD5_H(d, a, b, c, m[0], 0xEAA127FA, 11) \
    DB_MD5_H(c, d, a, b, m[3], 0xD4EF3085, 16) DB_MD5_H(b, c, d, a, m[6], 0x04881D05, 23) \
    DB_MD5_H(a, b, c, d, m[9], 0xD9D4D039, 4) DB_MD5_H(d, a, b, c, m[12], 0xE6DB99E5, 11) \
    DB_MD5_H(c, d, a, b, m[15], 0x1FA27CF8, 16) DB_MD5_H(b, c, d, a, m[2], 0xC4AC5665, 23) \
    DB_MD5_I(a, b, c, d, m[0], 0xF4292244, 6) DB_MD5_I(d, a, b, c, m[7], 0x432AFF97, 10) \
    DB_MD5_I(c, d, a, b, m[14], 0xAB9423A7, 15) DB_MD5_I(b, c, d, a, m[5], 0xFC93A039, 21) \
    DB_MD5_I(a, b, c, d, m[12], 0x655B59C3, 6) DB_MD5_I(d, a, b, c, m[3], 0x8F0CCC92, 10) \
    DB_MD5_I(c, d, a, b, m[10], 0xFFEFF47D, 15) DB_MD5_I(b, c, d, a, m[1], 0x85845DD1, 21) \
    DB_MD5_I(a, b, c, d, m[8], 0x6FA87E4F, 6) DB_MD5_I(d, a, b, c, m[15], 0xFE2CE6E0, 10) \
    DB_MD5_I(c, d, a, b, m[6], 0xA3014314, 15) DB_MD5_I(b, c, d, a, m[13], 0x4E0811A1, 21) \
    DB_MD5_I(a, b, c, d, m[4], 0xF7537E82, 6) DB_MD5_I(d, a, b, c, m[11], 0xBD3AF235, 10) \
    DB_MD5_I(c, d, a, b, m[2], 0x2AD7D2BB, 15) DB_MD5_I(b, c, d, a, m[9], 0xEB86D391, 21) \
    a += a0; b += b0; c += c0; d += d0; \
  } \
  state[0] = a; state[1] = b; state[2] = c; state[3] = d;

__attribute__((target("avx2"))) static inline void db_md5_avx2(const uint8_t *const *lanes, size_t blocks, db_words *state) { DB_MD5_BODY }
__attribute__((target("avx2,avx512f,avx512vl"))) static inline void db_md5_avx512(const uint8_t *const *lanes, size_t blocks, db_words *state) { DB_MD5_BODY }

static inline int db_md5_lanes(void) { return __builtin_cpu_supports("avx2") ? DB_MD5_LANES : 0; }

// Digests so many 64-byte blocks of each lane. words: eight of each of the four words of state, lane by lane.
static inline void db_md5_blocks(const uint8_t *const *lanes, size_t blocks, uint32_t *words) {
  db_words state[4];
  memcpy(state, words, sizeof state);
  if (__builtin_cpu_supports("avx512vl")) db_md5_avx512(lanes, blocks, state); else db_md5_avx2(lanes, blocks, state);
  memcpy(words, state, sizeof state);
}
#else
static inline int db_md5_lanes(void) { return 0; }
static inline void db_md5_blocks(const uint8_t *const *lanes, size_t blocks, uint32_t *words) { (void)lanes; (void)blocks; (void)words; }
#endif
#endif
