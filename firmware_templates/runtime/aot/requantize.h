// SPDX-License-Identifier: MIT
// From a 32-bit accumulator to the int8 output, in few instructions and with the very result of fixed_point.h.
//
// With acc >= 0 and e = -shift >= 1, the reference gives at least zero point + t where
//
//   acc * multiplier / 2^31 >= 2^e * (t - 1/2) - 1/2       (t >= 1)
//
// and, for a negative acc, where the same product is >= 2^e * (t - 1/2) + 1/2 (t <= 0). Each form below asks the same
// question, multiplied by a power of two so that the product's upper word and one constant answer it:
//
// - relu: only outputs above the zero point matter, since a fused activation holds the others at it (min >= zero
//   point). Needs e <= 14 and |acc| < 2^(15 + e).
// - linear: every output; the 1/2 on the right changes its sign with the accumulator. Needs e <= 22.
//
// Both need |acc| < 2^23; the renderer chooses (pipeline/firmware/lowering/requantization.py) and falls back to a third
// form, plain, which is fixed_point.h itself. A saturated result of a narrower activation is clamped afterwards.
#pragma once

#include <cstdint>

#include "fixed_point.h"
#include "simd.h"

namespace danas::aot {

enum class Form : uint8_t { kRelu, kLinear, kPlain };

// What an output channel needs in the forms relu and linear. The input's zero point is folded into the bias:
// bias - zero point * sum of weights.
struct Channel {
  int32_t packed;  // 256 * bias + e
  int32_t multiplier;

  int32_t bias() const { return packed >> 8; }
  int32_t scaled_bias() const { return packed & ~0xFF; }  // 256 * bias
  int32_t exponent() const { return packed & 0xFF; }
};

// The same in the form plain.
struct PlainChannel {
  int32_t bias;
  int32_t multiplier;
  int32_t shift;
};

// The form relu of one channel: scale(acc) for an accumulator, scale_upper(256 * acc) for one that comes so.
class Relu {
 public:
  static constexpr int kShift = 15;  // fractional bits of the product
  static constexpr int kHalf = 1 << (kShift - 1);

  Relu(const Channel& channel, int32_t zero_point)
      : multiplier_(channel.multiplier),
        left_(kShift + 1 - channel.exponent()),
        rounding_((2 * zero_point + 1) * kHalf + (kHalf >> channel.exponent())) {}

  int32_t scale(int32_t acc) const { return saturate8<kShift>(smmla(shift_left(acc, left_), multiplier_, rounding_)); }

 private:
  int32_t multiplier_;
  int32_t left_;
  int32_t rounding_;
};

class ReluUpper {
 public:
  ReluUpper(const Channel& channel, int32_t zero_point)
      : multiplier_(channel.multiplier),
        right_(channel.exponent() + 7),
        rounding_((2 * zero_point + 1) * (1 << (channel.exponent() + 6)) + (1 << 6)) {}

  int32_t scale(int32_t acc) const { return saturate8<0>(smmla(acc, multiplier_, rounding_) >> right_); }

 private:
  int32_t multiplier_;
  int32_t right_;
  int32_t rounding_;
};

// The form linear of one channel; scale takes acc (kFactor = 1) or 256 * acc (kFactor = 256).
template <int kFactor>
class Linear {
 public:
  Linear(const Channel& channel, int32_t zero_point)
      : multiplier_(channel.multiplier),
        right_(channel.exponent()),
        rounding_((2 * zero_point + 1) * (1 << (channel.exponent() - 1))) {}

  int32_t scale(int32_t acc) const {
    static_assert(kFactor == 1 || kFactor == 256, "how accumulators come");
    const int32_t doubled = kFactor == 1 ? shift_left(acc, 1) : acc >> 7;
    return saturate8<0>(smmlar(doubled, multiplier_, rounding_ + (acc >> 31)) >> right_);
  }

 private:
  int32_t multiplier_;
  int32_t right_;
  int32_t rounding_;
};

// The form plain.
inline int32_t scale_plain(const PlainChannel& channel, int32_t acc, int32_t zero_point) {
  const int32_t scaled = clamp(rescale(acc, channel.multiplier, channel.shift), -1024, 1024);
  return saturate8<0>(scaled + zero_point);
}

// Holds the bytes of a row between two int8 values.
inline void clamp_row(int8_t* bytes, int32_t count, int32_t low, int32_t high) {
  for (int8_t* end = bytes + count; bytes != end; ++bytes) *bytes = static_cast<int8_t>(clamp(*bytes, low, high));
}

}  // namespace danas::aot
