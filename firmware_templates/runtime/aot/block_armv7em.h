// SPDX-License-Identifier: MIT
// Part of block.cpp: blocks on Armv7E-M, in assembly. For four pixels, eight sums and their operands need all fourteen
// registers there are, with everything else in memory, which is more than the compiler finds; for fewer, several words
// are loaded at once. All of it computes what the templates of block.cpp compute.

// Two pairs for two pixels: 16 products in 12 instructions.
template <>
inline void accumulate<2>(const uint32_t* scratch, const uint32_t* words, const uint32_t* end, Sums<2>& sums) {
  register uint32_t x0 __asm__("r4");
  register uint32_t x1 __asm__("r5");
  register uint32_t x2 __asm__("r6");
  register uint32_t x3 __asm__("r8");
  uint32_t both;
  uint32_t next;
  __asm__ volatile(
      "1:\n"
      "  ldrd %[both], %[next], [%[words]], #8\n"
      "  ldmia %[scratch]!, {%[x0], %[x1], %[x2], %[x3]}\n"
      "  smlad %[b0], %[x0], %[both], %[b0]\n"
      "  smlad %[b1], %[x1], %[both], %[b1]\n"
      "  sxtb16 %[both], %[both]\n"
      "  smlad %[b0], %[x2], %[next], %[b0]\n"
      "  smlad %[b1], %[x3], %[next], %[b1]\n"
      "  sxtb16 %[next], %[next]\n"
      "  smlad %[a0], %[x0], %[both], %[a0]\n"
      "  smlad %[a1], %[x1], %[both], %[a1]\n"
      "  cmp %[words], %[end]\n"
      "  smlad %[a0], %[x2], %[next], %[a0]\n"
      "  smlad %[a1], %[x3], %[next], %[a1]\n"
      "  bne 1b\n"
      : [a0] "+r"(sums.low[0]), [a1] "+r"(sums.low[1]), [b0] "+r"(sums.high[0]), [b1] "+r"(sums.high[1]),
        [scratch] "+r"(scratch), [words] "+r"(words), [both] "=&r"(both), [next] "=&r"(next), [x0] "=&r"(x0),
        [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(x3)
      : [end] "r"(end)
      : "memory", "cc");
}

// Two pairs, if their number is no multiple of four, then four pairs a round for one pixel: 16 products in 14.
template <>
inline void accumulate<1>(const uint32_t* scratch, const uint32_t* words, const uint32_t* end, Sums<1>& sums) {
  register uint32_t w0 __asm__("r4");
  register uint32_t w1 __asm__("r5");
  register uint32_t w2 __asm__("r6");
  register uint32_t w3 __asm__("r8");
  register uint32_t x0 __asm__("r9");
  register uint32_t x1 __asm__("r10");
  register uint32_t x2 __asm__("r11");
  register uint32_t x3 __asm__("r12");
  __asm__ volatile(
      "  sub %[x0], %[end], %[words]\n"
      "  tst %[x0], #8\n"
      "  beq 2f\n"
      "  ldrd %[w2], %[w3], [%[words]], #8\n"
      "  ldrd %[x2], %[x3], [%[scratch]], #8\n"
      "  b 3f\n"
      "1:\n"
      "  ldmia %[words]!, {%[w0], %[w1], %[w2], %[w3]}\n"
      "  ldmia %[scratch]!, {%[x0], %[x1], %[x2], %[x3]}\n"
      "  smlad %[b0], %[x0], %[w0], %[b0]\n"
      "  sxtb16 %[w0], %[w0]\n"
      "  smlad %[b0], %[x1], %[w1], %[b0]\n"
      "  sxtb16 %[w1], %[w1]\n"
      "  smlad %[a0], %[x0], %[w0], %[a0]\n"
      "  smlad %[a0], %[x1], %[w1], %[a0]\n"
      "3:\n"
      "  smlad %[b0], %[x2], %[w2], %[b0]\n"
      "  sxtb16 %[w2], %[w2]\n"
      "  smlad %[b0], %[x3], %[w3], %[b0]\n"
      "  sxtb16 %[w3], %[w3]\n"
      "  smlad %[a0], %[x2], %[w2], %[a0]\n"
      "  smlad %[a0], %[x3], %[w3], %[a0]\n"
      "2:\n"
      "  cmp %[words], %[end]\n"
      "  bne 1b\n"
      : [a0] "+r"(sums.low[0]), [b0] "+r"(sums.high[0]), [scratch] "+r"(scratch), [words] "+r"(words),
        [w0] "=&r"(w0), [w1] "=&r"(w1), [w2] "=&r"(w2), [w3] "=&r"(w3), [x0] "=&r"(x0), [x1] "=&r"(x1),
        [x2] "=&r"(x2), [x3] "=&r"(x3)
      : [end] "r"(end)
      : "memory", "cc");
}

// What the loop over the channels keeps in memory.
struct Round {
  const uint32_t* scratch;
  const uint32_t* scratch_end;
  int8_t* output;
  int32_t stride;
  int8_t* output_end;
  uint32_t odd;  // not 0 where the pairs after the first two are a whole number of fours
  int32_t packed_low;
  int32_t packed_high;
  int32_t rounding_low;  // what the zero point contributes to the constants of the two channels
  int32_t half;
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

// The sums of two channels: two pairs, then four a round, of which the first two may be left out. At the end b0-b3 are
// 256 * the sums of the high channel.
#define DANAS_SUMS                             \
  "0:\n"                                       \
  "  ldrd %[x], %[y], [%[stream]], #8\n"       \
  "  ldr %[scratch], %[scratch_begin]\n"       \
  "  strd %[x], %[y], %[packed_low]\n"         \
  "  asr %[a3], %[x], #8\n"                    \
  "  bic %[b3], %[y], #255\n"                  \
  "  add %[b3], %[b3], %[a3]\n"                \
  DANAS_FIRST_PAIR                             \
  DANAS_NEXT_PAIR                              \
  "  ldr %[both], %[odd]\n"                    \
  "  cbz %[both], 2f\n"                        \
  "  b 3f\n"                                   \
  "1:\n"                                       \
  DANAS_NEXT_PAIR                              \
  DANAS_NEXT_PAIR                              \
  "2:\n"                                       \
  DANAS_NEXT_PAIR                              \
  DANAS_NEXT_PAIR                              \
  "3:\n"                                       \
  "  ldr %[x], %[scratch_end]\n"               \
  "  cmp %[scratch], %[x]\n"                   \
  "  bne 1b\n"                                 \
  "  sub %[b0], %[b0], %[a0]\n"                \
  "  sub %[b1], %[b1], %[a1]\n"                \
  "  sub %[b2], %[b2], %[a2]\n"                \
  "  sub %[b3], %[b3], %[a3]\n"

// requantize.h: Relu and ReluUpper, one sum.
#define DANAS_RELU_LOW(sum)                        \
  "  lsl %[" sum "], %[" sum "], %[y]\n"           \
  "  smmla %[" sum "], %[" sum "], %[both], %[x]\n" \
  "  ssat %[" sum "], #8, %[" sum "], asr #15\n"
#define DANAS_RELU_HIGH(sum)                       \
  "  smmla %[" sum "], %[" sum "], %[both], %[x]\n" \
  "  asr %[" sum "], %[" sum "], %[y]\n"           \
  "  ssat %[" sum "], #8, %[" sum "]\n"
#define DANAS_RELU                                     \
  "  ldrb %[y], %[packed_low]\n"                       \
  "  ldrd %[x], %[both], %[rounding_low]\n"            \
  "  asr %[both], %[both], %[y]\n"                     \
  "  add %[x], %[x], %[both]\n"                        \
  "  ldr %[both], [%[stream]], #4\n"                   \
  "  rsb %[y], %[y], #16\n"                            \
  DANAS_RELU_LOW("a0") DANAS_RELU_LOW("a1") DANAS_RELU_LOW("a2") DANAS_RELU_LOW("a3") \
  "  ldrb %[y], %[packed_high]\n"                      \
  "  ldr %[x], %[rounding_high]\n"                     \
  "  ldr %[both], [%[stream]], #4\n"                   \
  "  lsl %[x], %[x], %[y]\n"                           \
  "  add %[x], %[x], #64\n"                            \
  "  add %[y], %[y], #7\n"                             \
  DANAS_RELU_HIGH("b0") DANAS_RELU_HIGH("b1") DANAS_RELU_HIGH("b2") DANAS_RELU_HIGH("b3")

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
#define DANAS_LINEAR                                    \
  DANAS_LINEAR_CHANNEL("packed_low")                    \
  DANAS_LINEAR_LOW("a0") DANAS_LINEAR_LOW("a1") DANAS_LINEAR_LOW("a2") DANAS_LINEAR_LOW("a3") \
  DANAS_LINEAR_CHANNEL("packed_high")                   \
  DANAS_LINEAR_HIGH("b0") DANAS_LINEAR_HIGH("b1") DANAS_LINEAR_HIGH("b2") DANAS_LINEAR_HIGH("b3")

// Two adjacent bytes for each pixel, and on to the next two channels.
#define DANAS_STORE                                     \
  "  ldrd %[x], %[y], %[output]\n"                      \
  "  bfi %[a0], %[b0], #8, #8\n"                        \
  "  bfi %[a1], %[b1], #8, #8\n"                        \
  "  bfi %[a2], %[b2], #8, #8\n"                        \
  "  bfi %[a3], %[b3], #8, #8\n"                        \
  "  add %[b0], %[x], %[y]\n"                           \
  "  strh %[a1], [%[x], %[y]]\n"                        \
  "  strh %[a2], [%[x], %[y], lsl #1]\n"                \
  "  strh %[a3], [%[b0], %[y], lsl #1]\n"               \
  "  strh %[a0], [%[x]], #2\n"                          \
  "  ldr %[y], %[output_end]\n"                         \
  "  str %[x], %[output]\n"                             \
  "  cmp %[x], %[y]\n"                                  \
  "  bne 0b\n"

#define DANAS_LOOP(steps)                                                                                             \
  __asm__ volatile(DANAS_SUMS steps DANAS_STORE                                                                       \
                   : [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3), [b0] "=&r"(b0), [b1] "=&r"(b1),  \
                     [b2] "=&r"(b2), [b3] "=&r"(b3), [stream] "+r"(stream), [scratch] "=&r"(place),                   \
                     [both] "=&l"(both), [low] "=&r"(low), [x] "=&r"(x), [y] "=&r"(y), [output] "+m"(round.output),   \
                     [packed_low] "=m"(round.packed_low), [packed_high] "=m"(round.packed_high)                       \
                   : [scratch_begin] "m"(round.scratch), [scratch_end] "m"(round.scratch_end),                        \
                     [output_end] "m"(round.output_end), [odd] "m"(round.odd),                                        \
                     [rounding_low] "m"(round.rounding_low), [rounding_high] "m"(round.rounding_high)                 \
                   : "memory", "cc")

template <Form kForm>
struct Channels<4, kForm> {
  static const uint32_t* make(const Filters& filters, const uint32_t* scratch, const uint32_t* stream, int8_t* output,
                              int32_t count, int32_t stride) {
    const int32_t odd = 2 * filters.zero_point + 1;
    Round round{scratch,
                scratch + 4 * filters.pairs,
                output,
                stride,
                output + count,
                filters.pairs & 2U,
                0,
                0,
                kForm == Form::kRelu ? odd * Relu::kHalf : odd,
                Relu::kHalf,
                64 * odd};
    int32_t a0, a1, a2, a3, b0, b1, b2, b3;
    const uint32_t* place;
    uint32_t both, low, x, y;
    if constexpr (kForm == Form::kRelu) {
      DANAS_LOOP(DANAS_RELU);
    } else {
      DANAS_LOOP(DANAS_LINEAR);
    }
    return stream;
  }
};

#undef DANAS_LOOP
#undef DANAS_STORE
#undef DANAS_LINEAR
#undef DANAS_LINEAR_CHANNEL
#undef DANAS_LINEAR_HIGH
#undef DANAS_LINEAR_LOW
#undef DANAS_LINEAR_ONE
#undef DANAS_RELU
#undef DANAS_RELU_HIGH
#undef DANAS_RELU_LOW
#undef DANAS_SUMS
#undef DANAS_NEXT_PAIR
#undef DANAS_FIRST_PAIR
#undef DANAS_PAIR
