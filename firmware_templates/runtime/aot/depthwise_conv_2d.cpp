// SPDX-License-Identifier: MIT
#include "depthwise_conv_2d.h"

#include "fixed_point.h"

namespace danas::aot {
namespace {

constexpr int32_t kBlock = 4;  // adjacent channels that share the walk over the window

// The part of a window that lies inside the image, at one position.
struct Patch {
  const int8_t* image;    // its first pixel
  const int8_t* weights;  // the tap that belongs to it
  int32_t rows;
  int32_t columns;
};

// How far it is to the next pixel and tap in a row, and from one row's first to the next row's.
struct Steps {
  int32_t pixel;
  int32_t tap;
  int32_t image_row;
  int32_t weights_row;
};

// acc[i] += sum of taps * (pixels - zero_point) over the patch, for four channels with one filter each.
inline void accumulate_block(const Patch& patch, const Steps& steps, int32_t zero_point, int32_t (&acc)[kBlock]) {
  int32_t a0 = acc[0];
  int32_t a1 = acc[1];
  int32_t a2 = acc[2];
  int32_t a3 = acc[3];
  const int8_t* image_row = patch.image;
  const int8_t* weights_row = patch.weights;
  for (int32_t row = patch.rows; row > 0; --row) {
    const int8_t* x = image_row;
    const int8_t* w = weights_row;
    for (int32_t column = patch.columns; column > 0; --column) {
      a0 += w[0] * (x[0] - zero_point);
      a1 += w[1] * (x[1] - zero_point);
      a2 += w[2] * (x[2] - zero_point);
      a3 += w[3] * (x[3] - zero_point);
      x += steps.pixel;
      w += steps.tap;
    }
    image_row += steps.image_row;
    weights_row += steps.weights_row;
  }
  acc[0] = a0;
  acc[1] = a1;
  acc[2] = a2;
  acc[3] = a3;
}

inline int32_t accumulate(const Patch& patch, const Steps& steps, int32_t zero_point, int32_t acc) {
  const int8_t* image_row = patch.image;
  const int8_t* weights_row = patch.weights;
  for (int32_t row = patch.rows; row > 0; --row) {
    const int8_t* x = image_row;
    const int8_t* w = weights_row;
    for (int32_t column = patch.columns; column > 0; --column) {
      acc += *w * (*x - zero_point);
      x += steps.pixel;
      w += steps.tap;
    }
    image_row += steps.image_row;
    weights_row += steps.weights_row;
  }
  return acc;
}

inline int8_t finish(const DepthwiseConv2dParams& params, int32_t channel, int32_t acc) {
  const int32_t scaled = rescale(acc, params.multipliers[channel], params.shifts[channel]);
  return static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
}

}  // namespace

void depthwise_conv_2d(const DepthwiseConv2dParams& params, const int8_t* input, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t filters = window.output_channels;
  const int32_t depth_multiplier = filters / channels;
  const int32_t blocked = depth_multiplier == 1 ? filters - filters % kBlock : 0;
  const Steps steps{channels, filters, window.input_width * channels, window.kernel_width * filters};
  const int32_t zero_point = params.input_zero_point;

  for (int32_t y = 0; y < window.output_height; ++y) {
    const int32_t top = y * window.stride_height - window.pad_top;
    const Span rows = clip(top, window.kernel_height, window.input_height);
    for (int32_t x = 0; x < window.output_width; ++x) {
      const int32_t left = x * window.stride_width - window.pad_left;
      const Span columns = clip(left, window.kernel_width, window.input_width);
      Patch patch{input + (top + rows.begin) * steps.image_row + (left + columns.begin) * steps.pixel,
                  params.weights + rows.begin * steps.weights_row + columns.begin * steps.tap,
                  rows.end - rows.begin, columns.end - columns.begin};

      int32_t channel = 0;
      for (; channel < blocked; channel += kBlock) {
        const int32_t* bias = params.bias + channel;
        int32_t acc[kBlock] = {bias[0], bias[1], bias[2], bias[3]};
        accumulate_block(patch, steps, zero_point, acc);
        for (int32_t i = 0; i < kBlock; ++i) *output++ = finish(params, channel + i, acc[i]);
        patch.image += kBlock;
        patch.weights += kBlock;
      }
      int32_t copies = depth_multiplier;  // filters of this input channel that are left
      for (; channel < filters; ++channel) {
        *output++ = finish(params, channel, accumulate(patch, steps, zero_point, params.bias[channel]));
        ++patch.weights;
        if (--copies == 0) {
          copies = depth_multiplier;
          ++patch.image;
        }
      }
    }
  }
}

}  // namespace danas::aot
