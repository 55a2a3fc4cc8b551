// SPDX-License-Identifier: MIT
// The inference engine as the command loop sees it. A runtime (aot, tflm) implements these functions; the program
// links exactly one. There is no heap and there are no virtual calls: the linker is the plug.
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::runtime {

enum class ElementType : uint8_t { kInt8, kUint8, kFloat32 };

// A tensor at the program's edge. real = scale * (q - zero_point) for integers; scale is 0 for floating point.
struct EdgeTensor {
  void* data;
  size_t bytes;
  ElementType type;
  float scale;
  int32_t zero_point;
};

struct MemoryReport {
  size_t arena_bytes;  // size of the arena
  size_t used_bytes;   // highest byte that an inference has changed, plus one; of tflm what the interpreter has taken
  // Where a runtime has both: activations and scratch, and what lives as long as the program. Else 0.
  size_t head_bytes = 0;
  size_t tail_bytes = 0;
};

struct OperatorProfile {
  const char* code;  // the operator's name in TensorFlow Lite's schema
  uint32_t cycles;   // of the last inference
};

// Prepares the engine; paints the arena for the watermark. False: the engine cannot run. Where the arena is too small
// for it, memory() then says in used_bytes how large it would have to be.
bool init();

EdgeTensor input();
EdgeTensor output();

// One inference on what lies in input(). It overwrites the arena, input() included.
bool invoke();

MemoryReport memory();

size_t operator_count();
OperatorProfile profile(size_t index);

// "aot" or "tflm".
const char* name();

}  // namespace danas::runtime
