// SPDX-License-Identifier: MIT
// The instructions of Armv7E-M that the kernels are made of: two 16-bit products at a time, the upper half of a 64-bit
// product, saturation. Where the processor has none of them, functions of the same names compute the same bits, so
// that one source is the kernel everywhere.
//
// A pair is two signed 16-bit numbers in one word, the first in its low half. Sums wrap around at 32 bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace danas::aot {

// Four bytes as one word, from any address.
inline uint32_t load_word(const void* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Modulo 2^32, as the instructions add and subtract.
inline int32_t wrapping_sum(int64_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
inline int32_t wrapping_difference(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

#ifdef __ARM_FEATURE_DSP

#define DANAS_SIMD_UNARY(name, instruction, suffix)                          \
  inline uint32_t name(uint32_t a) {                                         \
    uint32_t result;                                                         \
    __asm__(instruction " %0, %1" suffix : "=r"(result) : "r"(a));           \
    return result;                                                           \
  }
#define DANAS_SIMD_BINARY(name, instruction, suffix)                         \
  inline uint32_t name(uint32_t a, uint32_t b) {                             \
    uint32_t result;                                                         \
    __asm__(instruction " %0, %1, %2" suffix : "=r"(result) : "r"(a), "r"(b)); \
    return result;                                                           \
  }
#define DANAS_SIMD_SUM(name, type)                                           \
  inline int32_t name(type a, type b, int32_t sum) {                         \
    int32_t result;                                                          \
    __asm__(#name " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum)); \
    return result;                                                           \
  }

#define DANAS_SIMD_UPPER(name)                                               \
  inline int32_t name(int32_t a, uint32_t b, int32_t sum) {                  \
    int32_t result;                                                          \
    __asm__(#name " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum)); \
    return result;                                                           \
  }

DANAS_SIMD_UNARY(sxtb16, "sxtb16", "")
DANAS_SIMD_UNARY(sxtb16_ror8, "sxtb16", ", ror #8")
DANAS_SIMD_BINARY(pkhbt, "pkhbt", "")
DANAS_SIMD_BINARY(pkhbt_lsl16, "pkhbt", ", lsl #16")
DANAS_SIMD_BINARY(pkhtb, "pkhtb", "")
DANAS_SIMD_BINARY(pkhtb_asr16, "pkhtb", ", asr #16")
DANAS_SIMD_BINARY(and_lsl8, "and", ", lsl #8")
DANAS_SIMD_BINARY(sxtab16, "sxtab16", "")
DANAS_SIMD_BINARY(sxtab16_ror8, "sxtab16", ", ror #8")
DANAS_SIMD_SUM(smlad, uint32_t)
DANAS_SIMD_SUM(smlabb, uint32_t)
DANAS_SIMD_SUM(smlabt, uint32_t)
DANAS_SIMD_SUM(smmla, int32_t)
DANAS_SIMD_SUM(smmlar, int32_t)

DANAS_SIMD_UPPER(smlawb)
DANAS_SIMD_UPPER(smlawt)

#undef DANAS_SIMD_UPPER
#undef DANAS_SIMD_UNARY
#undef DANAS_SIMD_BINARY
#undef DANAS_SIMD_SUM

// The low bytes of two words, to adjacent bytes.
inline void store_bytes(int8_t* place, int32_t first, int32_t second) {
  __asm__("bfi %0, %1, #8, #8" : "+r"(first) : "r"(second));
  const uint16_t both = static_cast<uint16_t>(first);
  std::memcpy(place, &both, sizeof both);
}

// Two words, to adjacent places.
inline void store_words(uint32_t* place, uint32_t first, uint32_t second) {
  __asm__("strd %2, %3, %0" : "=m"(place[0]), "=m"(place[1]) : "r"(first), "r"(second));
}

// The larger of each two signed bytes.
inline uint32_t larger_bytes(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

// x / 2^kShift, rounded down, then the nearest int8 value.
template <int kShift>
inline int32_t saturate8(int32_t x) {
  int32_t result;
  if constexpr (kShift == 0) {
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  } else {
    __asm__("ssat %0, #8, %1, asr %2" : "=r"(result) : "r"(x), "n"(kShift));
  }
  return result;
}

#else

inline int32_t low_half(uint32_t pair) { return static_cast<int16_t>(pair); }
inline int32_t high_half(uint32_t pair) { return static_cast<int16_t>(pair >> 16); }

// The bytes 0 and 2 (1 and 3) of a word as a pair.
inline uint32_t sxtb16(uint32_t a) {
  const uint32_t low = static_cast<uint16_t>(static_cast<int8_t>(a));
  return low | static_cast<uint32_t>(static_cast<int8_t>(a >> 16)) << 16;
}
inline uint32_t sxtb16_ror8(uint32_t a) { return sxtb16(a >> 8); }

// a with 256 times b; a pair and the bytes 0 and 2 (1 and 3) of a word, added half by half.
inline uint32_t and_lsl8(uint32_t a, uint32_t b) { return a & b << 8; }
inline uint32_t sxtab16(uint32_t a, uint32_t b) {
  const uint32_t pair = sxtb16(b);
  return ((a + pair) & 0xFFFF) | ((a & 0xFFFF0000) + (pair & 0xFFFF0000));
}
inline uint32_t sxtab16_ror8(uint32_t a, uint32_t b) { return sxtab16(a, b >> 8); }

inline uint32_t larger_bytes(uint32_t a, uint32_t b) {
  uint32_t result = 0;
  for (int32_t shift = 0; shift < 32; shift += 8) {
    const int8_t x = static_cast<int8_t>(a >> shift);
    const int8_t y = static_cast<int8_t>(b >> shift);
    result |= static_cast<uint32_t>(static_cast<uint8_t>(x > y ? x : y)) << shift;
  }
  return result;
}

// A pair of one half of each of two words.
inline uint32_t pkhbt(uint32_t a, uint32_t b) { return (a & 0xFFFF) | (b & 0xFFFF0000); }
inline uint32_t pkhbt_lsl16(uint32_t a, uint32_t b) { return (a & 0xFFFF) | b << 16; }
inline uint32_t pkhtb(uint32_t a, uint32_t b) { return (a & 0xFFFF0000) | (b & 0xFFFF); }
inline uint32_t pkhtb_asr16(uint32_t a, uint32_t b) { return (a & 0xFFFF0000) | b >> 16; }

// sum + products of halves: of both pairs, of a's low half with b's low or high one.
inline int32_t smlad(uint32_t a, uint32_t b, int32_t sum) {
  return wrapping_sum(static_cast<int64_t>(low_half(a)) * low_half(b) + high_half(a) * high_half(b), sum);
}
inline int32_t smlabb(uint32_t a, uint32_t b, int32_t sum) { return wrapping_sum(low_half(a) * low_half(b), sum); }
inline int32_t smlabt(uint32_t a, uint32_t b, int32_t sum) { return wrapping_sum(low_half(a) * high_half(b), sum); }

// sum + a * b / 2^32, rounded down (to the nearest, ties upwards).
inline int32_t smmla(int32_t a, int32_t b, int32_t sum) { return wrapping_sum((static_cast<int64_t>(a) * b) >> 32, sum); }
inline int32_t smmlar(int32_t a, int32_t b, int32_t sum) {
  return wrapping_sum((static_cast<int64_t>(a) * b + (INT64_C(1) << 31)) >> 32, sum);
}

// sum + a * one half of b / 2^16, rounded down.
inline int32_t smlawb(int32_t a, uint32_t b, int32_t sum) {
  return wrapping_sum((static_cast<int64_t>(a) * low_half(b)) >> 16, sum);
}
inline int32_t smlawt(int32_t a, uint32_t b, int32_t sum) {
  return wrapping_sum((static_cast<int64_t>(a) * high_half(b)) >> 16, sum);
}

inline void store_bytes(int8_t* place, int32_t first, int32_t second) {
  place[0] = static_cast<int8_t>(first);
  place[1] = static_cast<int8_t>(second);
}

inline void store_words(uint32_t* place, uint32_t first, uint32_t second) {
  place[0] = first;
  place[1] = second;
}

template <int kShift>
inline int32_t saturate8(int32_t x) {
  x >>= kShift;
  return x < -128 ? -128 : (x > 127 ? 127 : x);
}

#endif

}  // namespace danas::aot
