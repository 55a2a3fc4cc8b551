// SPDX-License-Identifier: MIT
// The inner loops of a depthwise 3x3 convolution: three rows of an image are transposed so that each channel finds its
// column of the window in two adjacent words, and a channel is convolved four or two pixels at a time.
//
// A transposed column holds, for each of four channels, the pair (row 0, row 1) and a word whose low half is row 2.
// The loops are assembly, since a compiler does not keep their 14 values in registers; where the processor lacks the
// instructions, functions of the same names do the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "requantize.h"
#include "simd.h"

namespace danas::aot::depthwise_3x3 {

constexpr int32_t kColumn = 8;  // words of a transposed column

// What the assembly of a group reads and keeps, in this order. A channel's pixels come in runs of four, then in runs of
// two: what is left over four is made with pixels that have been made before. A single pixel is made as two that are
// stored at one place, three pixels as four of which the last two are.
template <typename Value>
struct Lane {
  uint32_t filter[6];     // the weights as pairs, the bias
  int32_t scale[3];       // multiplier, shift (with kLinear in the form linear), rounding
  int32_t step;           // bytes from one pixel's output to the next one's
  Value* output;          // of the next pixel
  const uint32_t* end;    // where the runs stop
  int32_t last_step;      // from the third pixel of four to the fourth
  int32_t rounding;       // what the rounding of all channels has in common
  const int8_t* last;     // in the stream, the last weight of the next channel
  const uint32_t* words;  // and its words
  int32_t fours;          // bytes of the columns that runs of four go over
  int32_t twos;           // and those of two
  int32_t back;           // bytes from the end of the fours back to the first two
  int32_t back_output;    // and of their outputs
  int32_t linear;         // kLinear in the form linear, else 0
  int32_t count;          // channels of the group that are left, and 2
  Value* first;           // the next channel's output of pixel 0
  const uint32_t* column; // and its first column
  int32_t apart[4];       // bytes from a channel's output to that of the next one, for the last channel of a group first
};

constexpr int32_t kLinear = 0x100;
constexpr int32_t kDone = 2;  // Lane::count when no channel is left

// Where outputs lie, in values.
struct Apart {
  int32_t odd;    // from channel 0 of a group to 1, and from 2 to 3
  int32_t upper;  // from channel 0 to 2
  int32_t group;  // from one group to the next
  int32_t pixel;  // from one pixel to the next
};

// The lane of `pixels` pixels, at a stride of one or two columns.
template <typename Value>
inline Lane<Value> lane_of(int32_t pixels, int32_t stride, const Apart& apart, Form form, int32_t zero_point) {
  constexpr int32_t kSize = sizeof(Value);
  const int32_t column = 4 * kColumn * stride;
  const int32_t step = apart.pixel * kSize;
  const int32_t left = pixels == 3 ? 0 : pixels % 4;
  const bool again = pixels > 3 && left % 2 != 0;
  Lane<Value> lane;
  lane.step = pixels == 1 ? 0 : step;
  lane.last_step = pixels == 3 ? 0 : step;
  lane.rounding = (2 * zero_point + 1) * (form == Form::kRelu ? Relu::kHalf : 1);
  lane.fours = pixels == 3 ? 4 * column : (pixels - left) * column;
  lane.twos = (left + 1) / 2 * 2 * column;
  lane.back = again ? column : 0;
  lane.back_output = again ? step : 0;
  lane.linear = form == Form::kRelu ? 0 : kLinear;
  lane.apart[3] = lane.apart[1] = apart.odd * kSize;
  lane.apart[2] = (apart.upper - apart.odd) * kSize;
  lane.apart[0] = (apart.group - apart.upper - apart.odd) * kSize;
  return lane;
}

#ifdef __ARM_FEATURE_DSP

// Transposes `columns` > 0 columns of three rows, `step` bytes apart. A function of its own: it takes all registers.
__attribute__((noinline)) inline void transpose(const int8_t* row_0, const int8_t* row_1, const int8_t* row_2, int32_t step, int32_t columns,
                      uint32_t* pairs) {
  const uint32_t* end = pairs + kColumn * columns;
  __asm__ volatile(
      "1:\n"
      "ldr r4, [%[row]]\n"
      "ldr r8, [%[row], %[second]]\n"
      "ldr r5, [%[row], %[third]]\n"
      "add %[row], %[step]\n"
      "pkhbt r6, r4, r8, lsl #16\n"
      "pkhtb r10, r8, r4, asr #16\n"
      "sxtb16 r7, r5, ror #8\n"
      "sxtb16 r5, r5\n"
      "sxtb16 r4, r6\n"
      "sxtb16 r6, r6, ror #8\n"
      "sxtb16 r8, r10\n"
      "sxtb16 r10, r10, ror #8\n"
      "asr r9, r5, #16\n"
      "asr r11, r7, #16\n"
      "stm %[pairs]!, {r4-r11}\n"
      "cmp %[pairs], %[end]\n"
      "bne 1b\n"
      : [row] "+r"(row_0), [pairs] "+r"(pairs)
      : [second] "r"(row_1 - row_0), [third] "r"(row_2 - row_0), [step] "r"(step), [end] "r"(end)
      : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
}


// In the runs, r2 to r4 hold the weights of rows 0 and 1, r5 and r7 those of row 2, r6 the bias, which becomes the last
// accumulator; r11 and r12 a column. Then r2 holds the multiplier, r3 the shift, r4 the rounding, r5 the step, r7 the
// output, r11 the end, r12 the last step. `lane` points to the lane's scale, but for the begin and the end of a channel.
#define DANAS_COLUMN(place) "ldrd r11, r12, " place "\n"
#define DANAS_TAP_0(acc, start) "smlad " acc ", r11, r2, " start "\nsmlabb " acc ", r12, r5, " acc "\n"
#define DANAS_TAP_1(acc) "smlad " acc ", r11, r3, " acc "\nsmlabt " acc ", r12, r5, " acc "\n"
#define DANAS_TAP_2(acc) "smlad " acc ", r11, r4, " acc "\nsmlabb " acc ", r12, r7, " acc "\n"
#define DANAS_FOUR_STRIDE_1                                                                     \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r6")                                           \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8") DANAS_TAP_0("r9", "r6")                    \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_1("r9") DANAS_TAP_0("r10", "r6") \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_2("r9") DANAS_TAP_1("r10") DANAS_TAP_0("r6", "r6") \
  DANAS_COLUMN("[%[column], #128]") DANAS_TAP_2("r10") DANAS_TAP_1("r6")                        \
  DANAS_COLUMN("[%[column], #160]") DANAS_TAP_2("r6")                                           \
  "add %[column], #128\n"
#define DANAS_FOUR_STRIDE_2                                                                     \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r6")                                           \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8")                                            \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_0("r9", "r6")                    \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_1("r9")                                            \
  DANAS_COLUMN("[%[column], #128]") DANAS_TAP_2("r9") DANAS_TAP_0("r10", "r6")                  \
  DANAS_COLUMN("[%[column], #160]") DANAS_TAP_1("r10")                                          \
  DANAS_COLUMN("[%[column], #192]") DANAS_TAP_2("r10") DANAS_TAP_0("r6", "r6")                  \
  DANAS_COLUMN("[%[column], #224]") DANAS_TAP_1("r6")                                           \
  DANAS_COLUMN("[%[column], #256]") DANAS_TAP_2("r6")                                           \
  "add %[column], #256\n"
#define DANAS_TWO_STRIDE_1                                                                      \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r6")                                           \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8") DANAS_TAP_0("r6", "r6")                    \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_1("r6")                          \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_2("r6")                                            \
  "add %[column], #64\n"
#define DANAS_TWO_STRIDE_2                                                                      \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r6")                                           \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8")                                            \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_0("r6", "r6")                    \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_1("r6")                                            \
  DANAS_COLUMN("[%[column], #128]") DANAS_TAP_2("r6")                                           \
  "add %[column], #128\n"
// An accumulator's output.
#define DANAS_RELU(acc) "lsl " acc ", r3\nsmmla " acc ", " acc ", r2, r4\nssat " acc ", #8, " acc ", asr #15\n"
#define DANAS_LINEAR(acc)                                                                        \
  "add lr, r4, " acc ", asr #31\nlsl " acc ", #1\nsmmlar " acc ", " acc ", r2, lr\nasr " acc      \
  ", r3\nssat " acc ", #8, " acc "\n"
// The second of two is stored first, so that it is lost for a step of 0.
#define DANAS_STORE(store, first, second, step)                                                 \
  store second ", [r7, " step "]\n" store first ", [r7]\nadd r7, r7, r5, lsl #1\n"
#define DANAS_GROUP(four, two, store)                                                                   \
  __asm__ volatile(                                                                                     \
      "0:\n" /* A channel: its weights, bias and scale. */                                              \
      "ldrd r11, r12, [%[lane], #56]\n"                                                                 \
      "ldm r12!, {r5-r8}\n"                                                                             \
      "ldrsb lr, [r11], #1\n"                                                                           \
      "strd r11, r12, [%[lane], #56]\n"                                                                 \
      "ldrd r11, %[column], [%[lane], #88]\n"                                                           \
      "str r11, [%[lane], #40]\n"                                                                       \
      "sxtb16 r2, r5\nsxtb16 r3, r5, ror #8\nsxtb16 r4, r6\nsxtb16 r5, r6, ror #8\n"                    \
      "asr r6, r7, #8\n"                                                                                \
      "uxtb r9, r7\n"                                                                                   \
      "mov r7, lr\n"                                                                                    \
      "stm %[lane]!, {r2-r7}\n"                                                                         \
      "ldr r10, [%[lane], #28]\n"                                                                       \
      "ldr r12, [%[lane], #56]\n"                                                                       \
      "cmp r12, #0\n"                                                                                   \
      "bne 6f\n"                                                                                        \
      "mov r11, #0x4000\nlsr r11, r11, r9\nadd r10, r11\nrsb r9, r9, #16\n"                             \
      "7:\n"                                                                                            \
      "stm %[lane], {r8-r10}\n"                                                                         \
      "ldr r12, [%[lane], #40]\n" /* Runs of four. */                                                   \
      "cmp r12, #0\n"                                                                                   \
      "beq 3f\n"                                                                                        \
      "add r12, %[column]\n"                                                                            \
      "str r12, [%[lane], #20]\n"                                                                       \
      "b 2f\n"                                                                                          \
      "1:\n"                                                                                            \
      "sub %[lane], #24\n"                                                                              \
      "ldm %[lane]!, {r2-r7}\n"                                                                         \
      "2:\n" four                                                                                       \
      "ldm %[lane], {r2-r5, r7, r11, r12}\n"                                                            \
      "tst r3, #0x100\n"                                                                                \
      "bne 8f\n"                                                                                        \
      DANAS_RELU("r8") DANAS_RELU("r9") DANAS_RELU("r10") DANAS_RELU("r6")                              \
      "11:\n" DANAS_STORE(store, "r8", "r9", "r5") DANAS_STORE(store, "r10", "r6", "r12")               \
      "str r7, [%[lane], #16]\n"                                                                        \
      "cmp %[column], r11\n"                                                                            \
      "bne 1b\n"                                                                                        \
      "3:\n" /* Runs of two. */                                                                         \
      "ldr r12, [%[lane], #44]\n"                                                                       \
      "cmp r12, #0\n"                                                                                   \
      "beq 5f\n"                                                                                        \
      "ldrd r8, r9, [%[lane], #48]\n"                                                                   \
      "sub %[column], r8\n"                                                                             \
      "ldr r10, [%[lane], #16]\n"                                                                       \
      "sub r10, r9\n"                                                                                   \
      "add r11, %[column], r12\n"                                                                       \
      "strd r10, r11, [%[lane], #16]\n"                                                                 \
      "4:\n"                                                                                            \
      "sub %[lane], #24\n"                                                                              \
      "ldm %[lane]!, {r2-r7}\n" two                                                                     \
      "ldm %[lane], {r2-r5, r7, r11}\n"                                                                 \
      "tst r3, #0x100\n"                                                                                \
      "bne 9f\n"                                                                                        \
      DANAS_RELU("r8") DANAS_RELU("r6")                                                                 \
      "12:\n" DANAS_STORE(store, "r8", "r6", "r5")                                                      \
      "str r7, [%[lane], #16]\n"                                                                        \
      "cmp %[column], r11\n"                                                                            \
      "bne 4b\n"                                                                                        \
      "5:\n" /* The next channel. */                                                                    \
      "add r5, %[lane], #60\n"                                                                          \
      "ldm r5, {r2-r4}\n"                                                                               \
      "ldr r6, [r5, r2, lsl #2]\n"                                                                      \
      "sub %[lane], #24\n"                                                                              \
      "add r3, r6\n"                                                                                    \
      "add r4, #8\n"                                                                                    \
      "sub r2, #1\n"                                                                                    \
      "stm r5, {r2-r4}\n"                                                                               \
      "cmp r2, #2\n"                                                                                    \
      "bne 0b\n"                                                                                        \
      "b 10f\n"                                                                                         \
      "6:\n" /* What the form linear does instead. */                                                   \
      "sub r11, r9, #1\nlsl r10, r10, r11\norr r9, r9, r12\n"                                           \
      "b 7b\n"                                                                                          \
      "8:\n" DANAS_LINEAR("r8") DANAS_LINEAR("r9") DANAS_LINEAR("r10") DANAS_LINEAR("r6")               \
      "b 11b\n"                                                                                         \
      "9:\n" DANAS_LINEAR("r8") DANAS_LINEAR("r6")                                                      \
      "b 12b\n"                                                                                         \
      "10:\n"                                                                                           \
      : [column] "=&r"(column), [lane] "+r"(at)                                                         \
      :                                                                                                 \
      : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory")

// The outputs of the next four channels of the lane's stream.
template <int32_t kStride, typename Value>
__attribute__((noinline)) void convolve_group(Lane<Value>& lane) {
  static_assert(offsetof(Lane<Value>, scale) == 24 && offsetof(Lane<Value>, count) == 84, "what the assembly knows");
  Lane<Value>* at = &lane;
  const uint32_t* column;
  if constexpr (kStride == 1 && sizeof(Value) == 1) {
    DANAS_GROUP(DANAS_FOUR_STRIDE_1, DANAS_TWO_STRIDE_1, "strb ");
  } else if constexpr (kStride == 1) {
    DANAS_GROUP(DANAS_FOUR_STRIDE_1, DANAS_TWO_STRIDE_1, "strh ");
  } else if constexpr (sizeof(Value) == 1) {
    DANAS_GROUP(DANAS_FOUR_STRIDE_2, DANAS_TWO_STRIDE_2, "strb ");
  } else {
    DANAS_GROUP(DANAS_FOUR_STRIDE_2, DANAS_TWO_STRIDE_2, "strh ");
  }
}

#undef DANAS_COLUMN
#undef DANAS_TAP_0
#undef DANAS_TAP_1
#undef DANAS_TAP_2
#undef DANAS_FOUR_STRIDE_1
#undef DANAS_FOUR_STRIDE_2
#undef DANAS_TWO_STRIDE_1
#undef DANAS_TWO_STRIDE_2
#undef DANAS_RELU
#undef DANAS_LINEAR
#undef DANAS_STORE
#undef DANAS_GROUP

#else

inline void transpose(const int8_t* row_0, const int8_t* row_1, const int8_t* row_2, int32_t step, int32_t columns,
                      uint32_t* pairs) {
  for (; columns > 0; --columns) {
    const uint32_t first = load_word(row_0);
    const uint32_t second = load_word(row_1);
    const uint32_t third = load_word(row_2);
    const uint32_t low = pkhbt_lsl16(first, second);
    const uint32_t high = pkhtb_asr16(second, first);
    const uint32_t even = sxtb16(third);
    const uint32_t odd = sxtb16_ror8(third);
    pairs[0] = sxtb16(low);
    pairs[1] = even;
    pairs[2] = sxtb16_ror8(low);
    pairs[3] = odd;
    pairs[4] = sxtb16(high);
    pairs[5] = even >> 16;
    pairs[6] = sxtb16_ror8(high);
    pairs[7] = odd >> 16;
    pairs += kColumn;
    row_0 += step;
    row_1 += step;
    row_2 += step;
  }
}

template <int32_t kStride, typename Scale, typename Value>
inline void convolve_channel(const uint32_t* column, int32_t zero_point, Lane<Value>& lane) {
  constexpr int32_t kSize = sizeof(Value);
  constexpr int32_t kWords = kStride * kColumn;
  const uint32_t* words = lane.words;
  lane.words += 4;
  const uint32_t pair_0 = sxtb16(words[0]);
  const uint32_t pair_1 = sxtb16_ror8(words[0]);
  const uint32_t pair_2 = sxtb16(words[1]);
  const uint32_t last_01 = sxtb16_ror8(words[1]);
  const uint32_t last_2 = static_cast<uint32_t>(*lane.last++);
  const Channel channel{static_cast<int32_t>(words[2]), static_cast<int32_t>(words[3])};
  const Scale scale(channel, zero_point);
  const auto output_of = [&](const uint32_t* x) {
    int32_t acc = smlabb(x[1], last_01, smlad(x[0], pair_0, channel.bias()));
    x += kColumn;
    acc = smlabt(x[1], last_01, smlad(x[0], pair_1, acc));
    x += kColumn;
    acc = smlabb(x[1], last_2, smlad(x[0], pair_2, acc));
    return static_cast<Value>(scale.scale(acc));
  };
  const int32_t step = lane.step / kSize;
  Value* output = lane.first;
  for (int32_t left = lane.fours; left > 0; left -= 4 * 4 * kWords) {
    output[2 * step + lane.last_step / kSize] = output_of(column + 3 * kWords);
    for (int32_t pixel = 2; pixel >= 0; --pixel) output[pixel * step] = output_of(column + pixel * kWords);
    output += 4 * step;
    column += 4 * kWords;
  }
  column -= lane.back / 4;
  output -= lane.back_output / kSize;
  for (int32_t left = lane.twos; left > 0; left -= 2 * 4 * kWords) {
    output[step] = output_of(column + kWords);
    output[0] = output_of(column);
    output += 2 * step;
    column += 2 * kWords;
  }
}

template <int32_t kStride, typename Value>
void convolve_group(Lane<Value>& lane) {
  for (; lane.count != kDone; --lane.count) {
    if (lane.linear == 0) {
      convolve_channel<kStride, Relu>(lane.column, (lane.rounding / Relu::kHalf - 1) / 2, lane);
    } else {
      convolve_channel<kStride, Linear<1>>(lane.column, (lane.rounding - 1) / 2, lane);
    }
    lane.column += 2;
    lane.first += lane.apart[lane.count - 3] / static_cast<int32_t>(sizeof(Value));
  }
}

#endif

}  // namespace danas::aot::depthwise_3x3
