// SPDX-License-Identifier: MIT
// The inner loops of a depthwise 3x3 convolution: three rows of an image are transposed so that each channel finds its
// column of the window in two adjacent words, and a channel is convolved two or four pixels at a time.
//
// A transposed column holds, for each of four channels, the pair (row 0, row 1) and a word whose low half is row 2.
// The loops are assembly, since a compiler does not keep their 14 values in registers; where the processor lacks the
// instructions, functions of the same names do the same.
#pragma once

#include <cstdint>
#include <type_traits>

#include "requantize.h"
#include "simd.h"

namespace danas::aot::depthwise_3x3 {

constexpr int32_t kColumn = 8;  // words of a transposed column

// A channel on its way along the pixels of a block. Scale is a form of requantize.h; Value is what an output is stored
// as. The assembly reads the fields in their order.
template <typename Scale, typename Value>
struct Lane {
  Lane() : scale(Channel{1, 0}, 0) {}

  uint32_t pair_0;   // weights of rows 0 and 1 in column 0
  uint32_t pair_1;   // in column 1
  uint32_t pair_2;   // in column 2
  uint32_t last_01;  // of row 2 in columns 0 and 1
  uint32_t last_2;   // of row 2 in column 2, the low half
  int32_t bias;
  Scale scale;     // multiplier, shift, rounding
  int32_t step;    // bytes from one pixel's output to the next one's
  Value* output;   // of the next pixel
  const uint32_t* end;  // where the column of the next pixel stops
  int32_t stride;  // bytes from one pixel's first column to the next one's

  // A channel's four words of the stream, and its last weight.
  void take(const uint32_t* words, int32_t last, int32_t zero_point) {
    pair_0 = sxtb16(words[0]);
    pair_1 = sxtb16_ror8(words[0]);
    pair_2 = sxtb16(words[1]);
    last_01 = sxtb16_ror8(words[1]);
    last_2 = static_cast<uint32_t>(last);
    const Channel channel{static_cast<int32_t>(words[2]), static_cast<int32_t>(words[3])};
    bias = channel.bias();
    scale = Scale(channel, zero_point);
  }
};

#ifdef __ARM_FEATURE_DSP

// Transposes `columns` > 0 columns of three rows, `step` bytes apart.
inline void transpose(const int8_t* row_0, const int8_t* row_1, const int8_t* row_2, int32_t step, int32_t columns,
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

// r2 to r6 hold the weights, r7 the bias, which becomes the last accumulator; r11 and r12 a column.
#define DANAS_COLUMN(place) "ldrd r11, r12, " place "\n"
#define DANAS_TAP_0(acc, start) "smlad " acc ", r11, r2, " start "\nsmlabb " acc ", r12, r5, " acc "\n"
#define DANAS_TAP_1(acc) "smlad " acc ", r11, r3, " acc "\nsmlabt " acc ", r12, r5, " acc "\n"
#define DANAS_TAP_2(acc) "smlad " acc ", r11, r4, " acc "\nsmlabb " acc ", r12, r6, " acc "\n"
#define DANAS_FOUR_STRIDE_1                                                              \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r7")                                    \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8") DANAS_TAP_0("r9", "r7")             \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_1("r9") DANAS_TAP_0("r10", "r7") \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_2("r9") DANAS_TAP_1("r10") DANAS_TAP_0("r7", "r7") \
  DANAS_COLUMN("[%[column], #128]") DANAS_TAP_2("r10") DANAS_TAP_1("r7")                 \
  DANAS_COLUMN("[%[column], #160]") DANAS_TAP_2("r7")                                    \
  "add %[column], #128\n"
#define DANAS_FOUR_STRIDE_2                                                              \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r7")                                    \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8")                                     \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8") DANAS_TAP_0("r9", "r7")             \
  DANAS_COLUMN("[%[column], #96]") DANAS_TAP_1("r9")                                     \
  DANAS_COLUMN("[%[column], #128]") DANAS_TAP_2("r9") DANAS_TAP_0("r10", "r7")           \
  DANAS_COLUMN("[%[column], #160]") DANAS_TAP_1("r10")                                   \
  DANAS_COLUMN("[%[column], #192]") DANAS_TAP_2("r10") DANAS_TAP_0("r7", "r7")           \
  DANAS_COLUMN("[%[column], #224]") DANAS_TAP_1("r7")                                    \
  DANAS_COLUMN("[%[column], #256]") DANAS_TAP_2("r7")                                    \
  "add %[column], #256\n"
#define DANAS_TWO                                                                        \
  "ldr lr, [%[lane], #24]\n"                                                             \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r8", "r7")                                    \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r8")                                     \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r8")                                     \
  "add %[column], lr\n"                                                                  \
  DANAS_COLUMN("[%[column]]") DANAS_TAP_0("r7", "r7")                                    \
  DANAS_COLUMN("[%[column], #32]") DANAS_TAP_1("r7")                                     \
  DANAS_COLUMN("[%[column], #64]") DANAS_TAP_2("r7")                                     \
  "add %[column], lr\n"
// r2 holds the multiplier, r3 the shift, r4 the rounding.
#define DANAS_RELU(acc) "lsl " acc ", r3\nsmmla " acc ", " acc ", r2, r4\nssat " acc ", #8, " acc ", asr #15\n"
#define DANAS_LINEAR(acc)                                                                                      \
  "add r12, r4, " acc ", asr #31\nlsl " acc ", #1\nsmmlar " acc ", " acc ", r2, r12\nasr " acc ", r3\nssat " acc \
  ", #8, " acc "\n"
// The step is in r5, the output in r6. Of two pixels the second is stored first, so that it is lost for a step of 0.
#define DANAS_STORE(store, first, second) store second ", [r6, r5]\n" store first ", [r6]\nadd r6, r6, r5, lsl #1\n"
#define DANAS_LOOP(products, scaled, stored)                                                         \
  __asm__ volatile("1:\nldm %[lane]!, {r2-r7}\n" products "ldm %[lane], {r2-r6, r11}\n" scaled stored \
                   "str r6, [%[lane], #16]\nsub %[lane], #24\ncmp %[column], r11\nbne 1b\n"          \
                   : [column] "+r"(column), [lane] "+r"(at)                                           \
                   :                                                                                  \
                   : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory")
#define DANAS_SCALED_2(scale) scale("r8") scale("r7")
#define DANAS_SCALED_4(scale) scale("r8") scale("r9") scale("r10") scale("r7")
#define DANAS_STORED_2(store) DANAS_STORE(store, "r8", "r7")
#define DANAS_STORED_4(store) DANAS_STORE(store, "r8", "r9") DANAS_STORE(store, "r10", "r7")
// The function `name`: makes `count` outputs at a time, until the next column is lane.end, and returns that.
#define DANAS_FUNCTION(name, products, count)                                                  \
  template <typename Scale, typename Value>                                                    \
  inline const uint32_t* name(const uint32_t* column, Lane<Scale, Value>& lane) {              \
    Lane<Scale, Value>* at = &lane;                                                            \
    if constexpr (std::is_same_v<Scale, Relu> && sizeof(Value) == 1) {                         \
      DANAS_LOOP(products, DANAS_SCALED_##count(DANAS_RELU), DANAS_STORED_##count("strb "));    \
    } else if constexpr (std::is_same_v<Scale, Relu>) {                                        \
      DANAS_LOOP(products, DANAS_SCALED_##count(DANAS_RELU), DANAS_STORED_##count("strh "));    \
    } else if constexpr (sizeof(Value) == 1) {                                                 \
      DANAS_LOOP(products, DANAS_SCALED_##count(DANAS_LINEAR), DANAS_STORED_##count("strb "));  \
    } else {                                                                                   \
      DANAS_LOOP(products, DANAS_SCALED_##count(DANAS_LINEAR), DANAS_STORED_##count("strh "));  \
    }                                                                                          \
    return column;                                                                             \
  }

DANAS_FUNCTION(four_stride_1, DANAS_FOUR_STRIDE_1, 4)
DANAS_FUNCTION(four_stride_2, DANAS_FOUR_STRIDE_2, 4)
DANAS_FUNCTION(two, DANAS_TWO, 2)

#undef DANAS_COLUMN
#undef DANAS_TAP_0
#undef DANAS_TAP_1
#undef DANAS_TAP_2
#undef DANAS_FOUR_STRIDE_1
#undef DANAS_FOUR_STRIDE_2
#undef DANAS_TWO
#undef DANAS_RELU
#undef DANAS_LINEAR
#undef DANAS_STORE
#undef DANAS_LOOP
#undef DANAS_SCALED_2
#undef DANAS_SCALED_4
#undef DANAS_STORED_2
#undef DANAS_STORED_4
#undef DANAS_FUNCTION

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

// The output whose window begins with a column.
template <typename Scale, typename Value>
inline Value convolved(const uint32_t* column, const Lane<Scale, Value>& lane) {
  int32_t acc = smlabb(column[1], lane.last_01, smlad(column[0], lane.pair_0, lane.bias));
  column += kColumn;
  acc = smlabt(column[1], lane.last_01, smlad(column[0], lane.pair_1, acc));
  column += kColumn;
  acc = smlabb(column[1], lane.last_2, smlad(column[0], lane.pair_2, acc));
  return static_cast<Value>(lane.scale.scale(acc));
}

// Makes two outputs at a time, until the next column is lane.end, and returns that. The second is stored first, so that
// it is lost for a step of 0.
template <typename Scale, typename Value>
inline const uint32_t* two(const uint32_t* column, Lane<Scale, Value>& lane) {
  const int32_t words = lane.stride / 4;
  const int32_t step = lane.step / static_cast<int32_t>(sizeof(Value));
  do {
    lane.output[step] = convolved(column + words, lane);
    lane.output[0] = convolved(column, lane);
    lane.output += 2 * step;
    column += 2 * words;
  } while (column != lane.end);
  return column;
}

// The same for four, with a stride of one column or of two.
template <typename Scale, typename Value>
inline const uint32_t* four(const uint32_t* column, Lane<Scale, Value>& lane, int32_t words) {
  const int32_t step = lane.step / static_cast<int32_t>(sizeof(Value));
  do {
    for (int32_t pixel = 0; pixel < 4; ++pixel) {
      *lane.output = convolved(column, lane);
      lane.output += step;
      column += words;
    }
  } while (column != lane.end);
  return column;
}
template <typename Scale, typename Value>
inline const uint32_t* four_stride_1(const uint32_t* column, Lane<Scale, Value>& lane) {
  return four(column, lane, kColumn);
}
template <typename Scale, typename Value>
inline const uint32_t* four_stride_2(const uint32_t* column, Lane<Scale, Value>& lane) {
  return four(column, lane, 2 * kColumn);
}

#endif

// How the pixels of a block are made: two or four at a time, and what is left with a last two or four of which some
// have been made before. A single pixel is made as two that are stored at one place.
struct Course {
  struct Run {
    bool fours;
    int32_t back;   // pixels by which it begins before the end of the run before it
    int32_t words;  // of the columns from its first pixel's to that after its last one
  };
  Run runs[2];
  int32_t count;

  // For a stride in columns.
  Course(int32_t pixels, int32_t stride) {
    const bool fours = pixels >= 4 && stride <= 2;
    const int32_t left = pixels % (fours ? 4 : 2);
    const int32_t last = left == 3 ? 4 : 2;
    count = 0;
    if (pixels > left) runs[count++] = Run{fours, 0, (pixels - left) * stride * kColumn};
    if (left > 0) runs[count++] = Run{last == 4, pixels == 1 ? 0 : last - left, last * stride * kColumn};
  }
};

// The outputs of one channel: `lane` says where they go and what they are made of, `column` where its window begins.
template <typename Scale, typename Value>
inline void convolve(const Course& course, const uint32_t* column, Lane<Scale, Value>& lane) {
  const Course::Run* run = course.runs;
  for (const Course::Run* end = run + course.count; run != end; ++run) {
    if (run->back != 0) {
      column -= run->back * (lane.stride / 4);
      lane.output -= run->back * (lane.step / static_cast<int32_t>(sizeof(Value)));
    }
    lane.end = column + run->words;
    if (!run->fours) {
      column = two(column, lane);
    } else if (lane.stride == 4 * kColumn) {
      column = four_stride_1(column, lane);
    } else {
      column = four_stride_2(column, lane);
    }
  }
}

}  // namespace danas::aot::depthwise_3x3
