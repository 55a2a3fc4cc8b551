// SPDX-License-Identifier: MIT
#include "softmax.h"

#include "fixed_point.h"

namespace danas::aot {
namespace {

// Qm.n: m integer bits, n fraction bits, m + n = 31, sign beside them. A product of Qa and Qb is Q(a + b).

// x * 2^exponent, held at the ends of the 32-bit range.
inline int32_t shift_left_saturating(int32_t x, int32_t exponent) {
  const int32_t limit = static_cast<int32_t>((UINT32_C(1) << (31 - exponent)) - 1);
  if (x > limit) return INT32_MAX;
  if (x < -limit) return INT32_MIN;
  return shift_left(x, exponent);
}

// exp(x) for -1/4 <= x < 0, both Q0.31: a Taylor polynomial of fourth degree around -1/8.
inline int32_t exp_of_last_quarter(int32_t x) {
  constexpr int32_t kExpOfMinusEighth = 1895147668;
  constexpr int32_t kThird = 715827883;
  const int32_t t = x + (INT32_C(1) << 28);
  const int32_t t2 = multiply_high(t, t);
  const int32_t t3 = multiply_high(t2, t);
  const int32_t t4 = multiply_high(t2, t2);
  const int32_t t4_over_4 = divide_by_power_of_two(t4, 2);
  const int32_t higher = divide_by_power_of_two(multiply_high(t4_over_4 + t3, kThird) + t2, 1);
  return kExpOfMinusEighth + multiply_high(kExpOfMinusEighth, t + higher);
}

// exp(x) for x <= 0 in Q5.26; the result is Q0.31. x = -(multiple of 1/4) + a rest in [-1/4, 0): the rest goes
// through the polynomial, each bit of the multiple is one factor exp(-2^k), k = -2 ... 4.
inline int32_t exp_of_negative(int32_t x) {
  if (x == 0) return INT32_MAX;
  constexpr int32_t kFractionBits = 26;
  constexpr int32_t kQuarter = INT32_C(1) << (kFractionBits - 2);
  constexpr int32_t kFactors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t rest = (x & (kQuarter - 1)) - kQuarter;
  int32_t result = exp_of_last_quarter(shift_left(rest, 5));
  const uint32_t quarters = static_cast<uint32_t>(rest - x) >> (kFractionBits - 2);
  for (int32_t k = 0; k < 7; ++k) {
    if (((quarters >> k) & 1) != 0) result = multiply_high(result, kFactors[k]);
  }
  return result;
}

// 1 / (1 + x) for 0 <= x < 1, both Q0.31: three Newton-Raphson steps in Q2.29.
inline int32_t reciprocal_of_one_plus(int32_t x) {
  constexpr int32_t k48Over17 = 1515870810;
  constexpr int32_t kMinus32Over17 = -1010580540;
  constexpr int32_t kOne = INT32_C(1) << 29;
  const int32_t half_denominator = static_cast<int32_t>((static_cast<int64_t>(x) + INT32_MAX + 1) / 2);
  int32_t estimate = k48Over17 + multiply_high(half_denominator, kMinus32Over17);
  for (int32_t step = 0; step < 3; ++step) {
    const int32_t error = kOne - multiply_high(half_denominator, estimate);
    estimate += shift_left_saturating(multiply_high(estimate, error), 2);
  }
  return shift_left_saturating(estimate, 1);  // half of Q2.29 is Q1.30 with the same bits; then to Q0.31
}

__attribute__((noinline)) int32_t exp_of_difference(const SoftmaxParams& params, int32_t difference) {
  return exp_of_negative(multiply_high(shift_left(difference, params.shift), params.multiplier));
}

}  // namespace

void softmax(const SoftmaxParams& params, const int8_t* input, int8_t* output) {
  constexpr int32_t kSumIntegerBits = 12;
  for (uint32_t row = 0; row < params.rows; ++row) {
    int32_t largest = INT8_MIN;
    for (uint32_t i = 0; i < params.depth; ++i) {
      if (input[i] > largest) largest = input[i];
    }

    int32_t sum = 0;  // Q12.19
    for (uint32_t i = 0; i < params.depth; ++i) {
      const int32_t difference = input[i] - largest;
      if (difference < params.smallest_difference) continue;
      sum += divide_by_power_of_two(exp_of_difference(params, difference), kSumIntegerBits);
    }

    // sum = 2^(12 - headroom) * (1 + x) with 0 <= x < 1.
    const int32_t headroom = __builtin_clz(static_cast<uint32_t>(sum));
    const int32_t x = static_cast<int32_t>((static_cast<uint32_t>(sum) << headroom) - (UINT32_C(1) << 31));
    const int32_t scale = reciprocal_of_one_plus(x);
    const int32_t exponent = kSumIntegerBits - headroom + 31 - 8;

    for (uint32_t i = 0; i < params.depth; ++i) {
      const int32_t difference = input[i] - largest;
      int32_t value = INT8_MIN;
      if (difference >= params.smallest_difference) {
        value += divide_by_power_of_two(multiply_high(scale, exp_of_difference(params, difference)), exponent);
      }
      output[i] = static_cast<int8_t>(clamp(value, INT8_MIN, INT8_MAX));
    }
    input += params.depth;
    output += params.depth;
  }
}

}  // namespace danas::aot
