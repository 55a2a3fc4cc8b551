// SPDX-License-Identifier: MIT
#include "conv_2d.h"

#include "fixed_point.h"

namespace danas::aot {
namespace {

constexpr int32_t kBlock = 4;  // output channels that share one read of the activations

// acc[i] += sum of w[i * stride + k] * (x[k] - zero_point), for the four channels of a block.
inline void accumulate_block(const int8_t* x, const int8_t* w, int32_t count, int32_t stride, int32_t zero_point,
                             int32_t (&acc)[kBlock]) {
  const int8_t* w0 = w;
  const int8_t* w1 = w0 + stride;
  const int8_t* w2 = w1 + stride;
  const int8_t* w3 = w2 + stride;
  int32_t a0 = acc[0];
  int32_t a1 = acc[1];
  int32_t a2 = acc[2];
  int32_t a3 = acc[3];
  for (const int8_t* end = x + count; x != end; ++x) {
    const int32_t value = *x - zero_point;
    a0 += *w0++ * value;
    a1 += *w1++ * value;
    a2 += *w2++ * value;
    a3 += *w3++ * value;
  }
  acc[0] = a0;
  acc[1] = a1;
  acc[2] = a2;
  acc[3] = a3;
}

inline int32_t accumulate(const int8_t* x, const int8_t* w, int32_t count, int32_t zero_point, int32_t acc) {
  for (const int8_t* end = x + count; x != end; ++x) acc += *w++ * (*x - zero_point);
  return acc;
}

inline int8_t finish(const Conv2dParams& params, int32_t channel, int32_t acc) {
  const int32_t scaled = rescale(acc, params.multipliers[channel], params.shifts[channel]);
  return static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
}

}  // namespace

void conv_2d(const Conv2dParams& params, const Rows& input, int32_t y, int8_t* output, uint32_t* scratch) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t kernel_row = window.kernel_width * channels;
  const int32_t filter = window.kernel_height * kernel_row;  // weights of one output channel
  const int32_t zero_point = params.input_zero_point;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);

  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    // A row of the window is one run of bytes, in the image and in the weights alike.
    const int32_t run = (columns.end - columns.begin) * channels;
    const int32_t offset = (left + columns.begin) * channels;
    const int8_t* weights = params.weights + columns.begin * channels;

    // All taps are read before anything is written: the output may lie where the input dies.
    int8_t* const patch = reinterpret_cast<int8_t*>(scratch);
    int8_t* copied = patch;
    for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
      const int8_t* from = row(input, top + tap) + offset;
      for (int32_t i = 0; i < run; ++i) *copied++ = from[i];
    }

    int32_t channel = 0;
    for (; channel + kBlock <= window.output_channels; channel += kBlock) {
      const int32_t* bias = params.bias + channel;
      int32_t acc[kBlock] = {bias[0], bias[1], bias[2], bias[3]};
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        accumulate_block(patch + (tap - rows.begin) * run, weights + tap * kernel_row, run, filter, zero_point, acc);
      }
      for (int32_t i = 0; i < kBlock; ++i) *output++ = finish(params, channel + i, acc[i]);
      weights += kBlock * filter;
    }
    for (; channel < window.output_channels; ++channel) {
      int32_t acc = params.bias[channel];
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        acc = accumulate(patch + (tap - rows.begin) * run, weights + tap * kernel_row, run, zero_point, acc);
      }
      *output++ = finish(params, channel, acc);
      weights += filter;
    }
  }
}

}  // namespace danas::aot
