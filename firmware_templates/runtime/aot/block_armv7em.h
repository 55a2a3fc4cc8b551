// SPDX-License-Identifier: MIT
// Part of block.cpp: two channels of a block on Armv7E-M, in assembly. For four pixels, eight sums and their operands
// need all fourteen registers there are, with everything else in memory, which is more than the compiler finds; for
// fewer, several words are loaded at once. block_portable.h computes the same.
#pragma once

#include "block.h"

namespace danas::aot {

// What the loop over the channels keeps in memory.
struct Round {
  Round(const Filters& filters, Form form, const uint32_t* block, int32_t pixels, int8_t* place, int32_t count,
        int32_t step)
      : scratch(block),
        scratch_end(block + pixels * filters.pairs),
        output(place),
        stride(step),
        output_end(place + count),
        rounding_low(2 * filters.zero_point + 1),
        rounding_high(64 * rounding_low) {
    if (form == Form::kRelu) rounding_low *= Relu::kHalf;
  }

  const uint32_t* scratch;
  const uint32_t* scratch_end;
  int8_t* output;
  int32_t stride;
  int8_t* output_end;
  uint32_t entry = 0;  // where the first round over the pairs begins
  int32_t packed_low = 0;
  int32_t packed_high = 0;
  int32_t rounding_low;  // what the zero point contributes to the constants of the two channels
  int32_t half = Relu::kHalf;
  int32_t rounding_high;
};

// A pair for four pixels: 16 products in 12 instructions. a0-a3 are the sums of the low channel, b0-b3 of both; in the
// first round they begin with a3 and b3.
#define DANAS_PAIR(a0, a1, a2, b0, b1, b2)             \
  "  ldr %[both], [%[stream]], #4\n"                   \
  "  ldrd %[x], %[y], [%[scratch]], #8\n"              \
  "  sxtb16 %[low], %[both]\n"                         \
  "  smlad %[b0], %[x], %[both], %[" b0 "]\n"          \
  "  smlad %[b1], %[y], %[both], %[" b1 "]\n"          \
  "  smlad %[a0], %[x], %[low], %[" a0 "]\n"           \
  "  smlad %[a1], %[y], %[low], %[" a1 "]\n"           \
  "  ldrd %[x], %[y], [%[scratch]], #8\n"              \
  "  smlad %[b2], %[x], %[both], %[" b2 "]\n"          \
  "  smlad %[b3], %[y], %[both], %[b3]\n"              \
  "  smlad %[a2], %[x], %[low], %[" a2 "]\n"           \
  "  smlad %[a3], %[y], %[low], %[a3]\n"
#define DANAS_FIRST_PAIR DANAS_PAIR("a3", "a3", "a3", "b3", "b3", "b3")
#define DANAS_NEXT_PAIR DANAS_PAIR("a0", "a1", "a2", "b0", "b1", "b2")

#define DANAS_NEXT_PAIRS DANAS_NEXT_PAIR DANAS_NEXT_PAIR

// The sums of two channels for four pixels: two pairs, then eight a round, of which the first may begin in its middle.
// At the end b0-b3 are 256 * the sums of the high channel.
#define DANAS_SUMS_4                               \
  "0:\n"                                           \
  "  ldrd %[x], %[y], [%[stream]], #8\n"           \
  "  ldr %[scratch], %[scratch_begin]\n"           \
  "  strd %[x], %[y], %[packed_low]\n"             \
  "  asr %[a3], %[x], #8\n"                        \
  "  bic %[b3], %[y], #255\n"                      \
  "  add %[b3], %[b3], %[a3]\n"                    \
  DANAS_FIRST_PAIR                                 \
  DANAS_NEXT_PAIR                                  \
  "  ldr %[both], %[entry]\n"                      \
  "  tbb [pc, %[both]]\n"                          \
  "6:\n"                                           \
  "  .byte (5f - 6b) / 2, (4f - 6b) / 2, (3f - 6b) / 2, (2f - 6b) / 2\n" \
  "1:\n"                                           \
  DANAS_NEXT_PAIRS                                 \
  "2:\n"                                           \
  DANAS_NEXT_PAIRS                                 \
  "3:\n"                                           \
  DANAS_NEXT_PAIRS                                 \
  "4:\n"                                           \
  DANAS_NEXT_PAIRS                                 \
  "5:\n"                                           \
  "  ldr %[x], %[scratch_end]\n"                   \
  "  cmp %[scratch], %[x]\n"                       \
  "  bne 1b\n"                                     \
  "  sub %[b0], %[b0], %[a0]\n"                    \
  "  sub %[b1], %[b1], %[a1]\n"                    \
  "  sub %[b2], %[b2], %[a2]\n"                    \
  "  sub %[b3], %[b3], %[a3]\n"

// Two pairs for three pixels: 24 products in 17 instructions.
#define DANAS_PAIR_3(word)                               \
  "  ldmia %[scratch]!, {%[x], %[y], %[z]}\n"            \
  "  smlad %[b0], %[x], %[" word "], %[b0]\n"            \
  "  smlad %[b1], %[y], %[" word "], %[b1]\n"            \
  "  smlad %[b2], %[z], %[" word "], %[b2]\n"            \
  "  sxtb16 %[" word "], %[" word "]\n"                  \
  "  smlad %[a0], %[x], %[" word "], %[a0]\n"            \
  "  smlad %[a1], %[y], %[" word "], %[a1]\n"            \
  "  smlad %[a2], %[z], %[" word "], %[a2]\n"
#define DANAS_TWO_PAIRS_3                                \
  "  ldrd %[both], %[low], [%[stream]], #8\n"            \
  DANAS_PAIR_3("both")                                   \
  DANAS_PAIR_3("low")

// The sums of two channels for three pixels: four pairs a round, of which the first may have but two.
#define DANAS_SUMS_3                               \
  "0:\n"                                           \
  "  ldrd %[both], %[low], [%[stream]], #8\n"      \
  "  ldr %[scratch], %[scratch_begin]\n"           \
  "  strd %[both], %[low], %[packed_low]\n"        \
  "  asr %[a0], %[both], #8\n"                     \
  "  bic %[b0], %[low], #255\n"                    \
  "  ldr %[both], %[entry]\n"                      \
  "  mov %[a1], %[a0]\n"                           \
  "  mov %[a2], %[a0]\n"                           \
  "  add %[b0], %[b0], %[a0]\n"                    \
  "  mov %[b1], %[b0]\n"                           \
  "  mov %[b2], %[b0]\n"                           \
  "  cbz %[both], 1f\n"                            \
  "  b 2f\n"                                       \
  "1:\n"                                           \
  DANAS_TWO_PAIRS_3                                \
  "2:\n"                                           \
  DANAS_TWO_PAIRS_3                                \
  "  cmp %[scratch], %[scratch_end]\n"             \
  "  bne 1b\n"                                     \
  "  sub %[b0], %[b0], %[a0]\n"                    \
  "  sub %[b1], %[b1], %[a1]\n"                    \
  "  sub %[b2], %[b2], %[a2]\n"

// Two pairs for two pixels: 16 products in 12 instructions.
#define DANAS_TWO_PAIRS                                  \
  "  ldrd %[both], %[low], [%[stream]], #8\n"            \
  "  ldmia %[scratch]!, {%[x], %[y], %[z], %[t]}\n"      \
  "  smlad %[b0], %[x], %[both], %[b0]\n"                \
  "  smlad %[b1], %[y], %[both], %[b1]\n"                \
  "  sxtb16 %[both], %[both]\n"                          \
  "  smlad %[b0], %[z], %[low], %[b0]\n"                 \
  "  smlad %[b1], %[t], %[low], %[b1]\n"                 \
  "  sxtb16 %[low], %[low]\n"                            \
  "  smlad %[a0], %[x], %[both], %[a0]\n"                \
  "  smlad %[a1], %[y], %[both], %[a1]\n"                \
  "  smlad %[a0], %[z], %[low], %[a0]\n"                 \
  "  smlad %[a1], %[t], %[low], %[a1]\n"

// The same for two pixels.
#define DANAS_SUMS_2                               \
  "0:\n"                                           \
  "  ldrd %[both], %[low], [%[stream]], #8\n"      \
  "  ldr %[scratch], %[scratch_begin]\n"           \
  "  strd %[both], %[low], %[packed_low]\n"        \
  "  asr %[a0], %[both], #8\n"                     \
  "  bic %[b0], %[low], #255\n"                    \
  "  ldr %[both], %[entry]\n"                      \
  "  mov %[a1], %[a0]\n"                           \
  "  add %[b0], %[b0], %[a0]\n"                    \
  "  mov %[b1], %[b0]\n"                           \
  "  cbz %[both], 1f\n"                            \
  "  b 2f\n"                                       \
  "1:\n"                                           \
  DANAS_TWO_PAIRS                                  \
  "2:\n"                                           \
  DANAS_TWO_PAIRS                                  \
  "  cmp %[scratch], %[scratch_end]\n"             \
  "  bne 1b\n"                                     \
  "  sub %[b0], %[b0], %[a0]\n"                    \
  "  sub %[b1], %[b1], %[a1]\n"

// The same for one pixel, 16 products in 14 instructions.
#define DANAS_SUMS_1                               \
  "0:\n"                                           \
  "  ldrd %[x], %[y], [%[stream]], #8\n"           \
  "  ldr %[scratch], %[scratch_begin]\n"           \
  "  strd %[x], %[y], %[packed_low]\n"             \
  "  ldr %[both], %[entry]\n"                      \
  "  asr %[a0], %[x], #8\n"                        \
  "  bic %[b0], %[y], #255\n"                      \
  "  add %[b0], %[b0], %[a0]\n"                    \
  "  cbz %[both], 1f\n"                            \
  "  ldrd %[u], %[v], [%[stream]], #8\n"           \
  "  ldrd %[z], %[t], [%[scratch]], #8\n"          \
  "  b 2f\n"                                       \
  "1:\n"                                           \
  "  ldmia %[stream]!, {%[both], %[low], %[u], %[v]}\n" \
  "  ldmia %[scratch]!, {%[x], %[y], %[z], %[t]}\n" \
  "  smlad %[b0], %[x], %[both], %[b0]\n"          \
  "  sxtb16 %[both], %[both]\n"                    \
  "  smlad %[b0], %[y], %[low], %[b0]\n"           \
  "  sxtb16 %[low], %[low]\n"                      \
  "  smlad %[a0], %[x], %[both], %[a0]\n"          \
  "  smlad %[a0], %[y], %[low], %[a0]\n"           \
  "2:\n"                                           \
  "  smlad %[b0], %[z], %[u], %[b0]\n"             \
  "  sxtb16 %[u], %[u]\n"                          \
  "  smlad %[b0], %[t], %[v], %[b0]\n"             \
  "  sxtb16 %[v], %[v]\n"                          \
  "  smlad %[a0], %[z], %[u], %[a0]\n"             \
  "  smlad %[a0], %[t], %[v], %[a0]\n"             \
  "  cmp %[scratch], %[scratch_end]\n"             \
  "  bne 1b\n"                                     \
  "  sub %[b0], %[b0], %[a0]\n"

// requantize.h: Relu and ReluUpper, one sum.
#define DANAS_RELU_LOW(sum)                        \
  "  lsl %[" sum "], %[" sum "], %[y]\n"           \
  "  smmla %[" sum "], %[" sum "], %[both], %[x]\n" \
  "  ssat %[" sum "], #8, %[" sum "], asr #15\n"
#define DANAS_RELU_HIGH(sum)                       \
  "  smmla %[" sum "], %[" sum "], %[both], %[x]\n" \
  "  asr %[" sum "], %[" sum "], %[y]\n"           \
  "  ssat %[" sum "], #8, %[" sum "]\n"
#define DANAS_RELU(lows, highs)                     \
  "  ldrb %[y], %[packed_low]\n"                    \
  "  ldrd %[x], %[both], %[rounding_low]\n"         \
  "  asr %[both], %[both], %[y]\n"                  \
  "  add %[x], %[x], %[both]\n"                     \
  "  ldr %[both], [%[stream]], #4\n"                \
  "  rsb %[y], %[y], #16\n"                         \
  lows                                              \
  "  ldrb %[y], %[packed_high]\n"                   \
  "  ldr %[x], %[rounding_high]\n"                  \
  "  ldr %[both], [%[stream]], #4\n"                \
  "  lsl %[x], %[x], %[y]\n"                        \
  "  add %[x], %[x], #64\n"                         \
  "  add %[y], %[y], #7\n"                          \
  highs

// requantize.h: Linear, one sum; `doubled` makes twice the accumulator of it.
#define DANAS_LINEAR_ONE(sum, doubled)                  \
  "  add %[low], %[x], %[" sum "], asr #31\n"           \
  "  " doubled "\n"                                     \
  "  smmlar %[" sum "], %[" sum "], %[both], %[low]\n"  \
  "  asr %[" sum "], %[" sum "], %[y]\n"                \
  "  ssat %[" sum "], #8, %[" sum "]\n"
#define DANAS_LINEAR_LOW(sum) DANAS_LINEAR_ONE(sum, "lsl %[" sum "], %[" sum "], #1")
#define DANAS_LINEAR_HIGH(sum) DANAS_LINEAR_ONE(sum, "asr %[" sum "], %[" sum "], #7")
#define DANAS_LINEAR_CHANNEL(packed)                    \
  "  ldrb %[y], %[" packed "]\n"                        \
  "  ldr %[x], %[rounding_low]\n"                       \
  "  ldr %[both], [%[stream]], #4\n"                    \
  "  lsl %[x], %[x], %[y]\n"                            \
  "  asr %[x], %[x], #1\n"
#define DANAS_LINEAR(lows, highs) DANAS_LINEAR_CHANNEL("packed_low") lows DANAS_LINEAR_CHANNEL("packed_high") highs

// A step for all sums of a channel.
#define DANAS_EACH_4(step, sum) step(sum "0") step(sum "1") step(sum "2") step(sum "3")
#define DANAS_EACH_3(step, sum) step(sum "0") step(sum "1") step(sum "2")
#define DANAS_EACH_2(step, sum) step(sum "0") step(sum "1")
#define DANAS_EACH_1(step, sum) step(sum "0")

// Two adjacent bytes for each pixel, and on to the next two channels.
#define DANAS_JOIN(pixel) "  bfi %[a" pixel "], %[b" pixel "], #8, #8\n"
#define DANAS_STORE_4 \
  DANAS_JOIN("0") DANAS_JOIN("1") DANAS_JOIN("2") DANAS_JOIN("3") \
  "  ldrd %[x], %[y], %[output]\n"                      \
  "  add %[b0], %[x], %[y]\n"                           \
  "  strh %[a1], [%[x], %[y]]\n"                        \
  "  strh %[a2], [%[x], %[y], lsl #1]\n"                \
  "  strh %[a3], [%[b0], %[y], lsl #1]\n"
#define DANAS_STORE_3 \
  DANAS_JOIN("0") DANAS_JOIN("1") DANAS_JOIN("2") \
  "  ldrd %[x], %[y], %[output]\n"                      \
  "  strh %[a1], [%[x], %[y]]\n"                        \
  "  strh %[a2], [%[x], %[y], lsl #1]\n"
#define DANAS_STORE_2 \
  DANAS_JOIN("0") DANAS_JOIN("1") \
  "  ldrd %[x], %[y], %[output]\n"                      \
  "  strh %[a1], [%[x], %[y]]\n"
#define DANAS_STORE_1 \
  DANAS_JOIN("0") \
  "  ldr %[x], %[output]\n"
#define DANAS_NEXT                                      \
  "  strh %[a0], [%[x]], #2\n"                          \
  "  ldr %[y], %[output_end]\n"                         \
  "  str %[x], %[output]\n"                             \
  "  cmp %[x], %[y]\n"                                  \
  "  bne 0b\n"

// What the loops of all block sizes have among their operands; `end` is "m" or "r".
#define DANAS_OUTPUTS                                                                                          \
  [a0] "=&r"(a0), [b0] "=&r"(b0), [stream] "+r"(stream), [scratch] "=&r"(place), [both] "=&l"(both),           \
      [low] "=&r"(low), [x] "=&r"(x), [y] "=&r"(y), [output] "+m"(round.output),                               \
      [packed_low] "=m"(round.packed_low), [packed_high] "=m"(round.packed_high)
#define DANAS_INPUTS(end)                                                                                      \
  [scratch_begin] "m"(round.scratch), [scratch_end] end(round.scratch_end), [output_end] "m"(round.output_end), \
      [rounding_low] "m"(round.rounding_low), [rounding_high] "m"(round.rounding_high)

// Two channels after two others, for a block of 4, 3, 2 or 1 pixels.
template <Form kForm>
__attribute__((always_inline)) inline const uint32_t* make_channels_4(Round& round, const uint32_t* stream) {
  const uint32_t* place;
  int32_t a0, a1, a2, a3, b0, b1, b2, b3;
  uint32_t both, low, x, y;
#define DANAS_LOOP(rescale)                                                                                   \
  __asm__ volatile(DANAS_SUMS_4 rescale DANAS_STORE_4 DANAS_NEXT                                              \
                   : DANAS_OUTPUTS, [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3), [b1] "=&r"(b1),           \
                     [b2] "=&r"(b2), [b3] "=&r"(b3)                                                           \
                   : DANAS_INPUTS("m"), [entry] "m"(round.entry)                                              \
                   : "memory", "cc")
  if constexpr (kForm == Form::kRelu) {
    DANAS_LOOP(DANAS_RELU(DANAS_EACH_4(DANAS_RELU_LOW, "a"), DANAS_EACH_4(DANAS_RELU_HIGH, "b")));
  } else {
    DANAS_LOOP(DANAS_LINEAR(DANAS_EACH_4(DANAS_LINEAR_LOW, "a"), DANAS_EACH_4(DANAS_LINEAR_HIGH, "b")));
  }
#undef DANAS_LOOP
  return stream;
}

template <Form kForm>
__attribute__((always_inline)) inline const uint32_t* make_channels_3(Round& round, const uint32_t* stream) {
  const uint32_t* place;
  int32_t a0, a1, a2, b0, b1, b2;
  uint32_t both, low;
  register uint32_t x __asm__("r4");  // loaded in the order of their numbers
  register uint32_t y __asm__("r5");
  register uint32_t z __asm__("r6");
#define DANAS_LOOP(rescale)                                                                                   \
  __asm__ volatile(DANAS_SUMS_3 rescale DANAS_STORE_3 DANAS_NEXT                                              \
                   : DANAS_OUTPUTS, [a1] "=&r"(a1), [a2] "=&r"(a2), [b1] "=&r"(b1), [b2] "=&r"(b2),           \
                     [z] "=&r"(z)                                                                             \
                   : DANAS_INPUTS("r"), [entry] "m"(round.entry)                                              \
                   : "memory", "cc")
  if constexpr (kForm == Form::kRelu) {
    DANAS_LOOP(DANAS_RELU(DANAS_EACH_3(DANAS_RELU_LOW, "a"), DANAS_EACH_3(DANAS_RELU_HIGH, "b")));
  } else {
    DANAS_LOOP(DANAS_LINEAR(DANAS_EACH_3(DANAS_LINEAR_LOW, "a"), DANAS_EACH_3(DANAS_LINEAR_HIGH, "b")));
  }
#undef DANAS_LOOP
  return stream;
}

template <Form kForm>
__attribute__((always_inline)) inline const uint32_t* make_channels_2(Round& round, const uint32_t* stream) {
  const uint32_t* place;
  int32_t a0, a1, b0, b1;
  uint32_t both, low;
  register uint32_t x __asm__("r4");  // loaded in the order of their numbers
  register uint32_t y __asm__("r5");
  register uint32_t z __asm__("r6");
  register uint32_t t __asm__("r8");
#define DANAS_LOOP(rescale)                                                                                   \
  __asm__ volatile(DANAS_SUMS_2 rescale DANAS_STORE_2 DANAS_NEXT                                              \
                   : DANAS_OUTPUTS, [a1] "=&r"(a1), [b1] "=&r"(b1), [z] "=&r"(z), [t] "=&r"(t)                \
                   : DANAS_INPUTS("r"), [entry] "m"(round.entry)                                              \
                   : "memory", "cc")
  if constexpr (kForm == Form::kRelu) {
    DANAS_LOOP(DANAS_RELU(DANAS_EACH_2(DANAS_RELU_LOW, "a"), DANAS_EACH_2(DANAS_RELU_HIGH, "b")));
  } else {
    DANAS_LOOP(DANAS_LINEAR(DANAS_EACH_2(DANAS_LINEAR_LOW, "a"), DANAS_EACH_2(DANAS_LINEAR_HIGH, "b")));
  }
#undef DANAS_LOOP
  return stream;
}

template <Form kForm>
__attribute__((always_inline)) inline const uint32_t* make_channels_1(Round& round, const uint32_t* stream) {
  const uint32_t* place;
  int32_t a0, b0;
  register uint32_t both __asm__("r4");
  register uint32_t low __asm__("r5");
  register uint32_t u __asm__("r6");
  register uint32_t v __asm__("r8");
  register uint32_t x __asm__("r9");
  register uint32_t y __asm__("r10");
  register uint32_t z __asm__("r11");
  register uint32_t t __asm__("r12");
#define DANAS_LOOP(rescale)                                                                                   \
  __asm__ volatile(DANAS_SUMS_1 rescale DANAS_STORE_1 DANAS_NEXT                                              \
                   : DANAS_OUTPUTS, [u] "=&r"(u), [v] "=&r"(v), [z] "=&r"(z), [t] "=&r"(t)                    \
                   : DANAS_INPUTS("r"), [entry] "m"(round.entry)                                              \
                   : "memory", "cc")
  if constexpr (kForm == Form::kRelu) {
    DANAS_LOOP(DANAS_RELU(DANAS_EACH_1(DANAS_RELU_LOW, "a"), DANAS_EACH_1(DANAS_RELU_HIGH, "b")));
  } else {
    DANAS_LOOP(DANAS_LINEAR(DANAS_EACH_1(DANAS_LINEAR_LOW, "a"), DANAS_EACH_1(DANAS_LINEAR_HIGH, "b")));
  }
#undef DANAS_LOOP
  return stream;
}

#undef DANAS_INPUTS
#undef DANAS_OUTPUTS
#undef DANAS_NEXT
#undef DANAS_STORE_1
#undef DANAS_STORE_2
#undef DANAS_STORE_3
#undef DANAS_STORE_4
#undef DANAS_JOIN
#undef DANAS_EACH_1
#undef DANAS_EACH_2
#undef DANAS_EACH_3
#undef DANAS_EACH_4
#undef DANAS_LINEAR
#undef DANAS_LINEAR_CHANNEL
#undef DANAS_LINEAR_HIGH
#undef DANAS_LINEAR_LOW
#undef DANAS_LINEAR_ONE
#undef DANAS_RELU
#undef DANAS_RELU_HIGH
#undef DANAS_RELU_LOW
#undef DANAS_SUMS_1
#undef DANAS_SUMS_2
#undef DANAS_TWO_PAIRS
#undef DANAS_SUMS_3
#undef DANAS_TWO_PAIRS_3
#undef DANAS_PAIR_3
#undef DANAS_SUMS_4
#undef DANAS_NEXT_PAIRS
#undef DANAS_NEXT_PAIR
#undef DANAS_FIRST_PAIR
#undef DANAS_PAIR

// `count` channels (an even number, not 0) of a block, from a place in the stream; pixels are `stride` bytes apart.
// Returns the stream's next place.
template <int kPixels, Form kForm>
inline const uint32_t* make_channels(const Filters& filters, const uint32_t* scratch, const uint32_t* stream,
                                     int8_t* output, int32_t count, int32_t stride) {
  Round round(filters, kForm, scratch, kPixels, output, count, stride);
  round.entry = kPixels == 4 ? (filters.pairs - 2U) / 2 % 4 : filters.pairs % 4U;
  if constexpr (kPixels == 4) return make_channels_4<kForm>(round, stream);
  if constexpr (kPixels == 3) return make_channels_3<kForm>(round, stream);
  if constexpr (kPixels == 2) return make_channels_2<kForm>(round, stream);
  if constexpr (kPixels == 1) return make_channels_1<kForm>(round, stream);
}

}  // namespace danas::aot
