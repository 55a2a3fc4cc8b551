// SPDX-License-Identifier: MIT
// The inference engine as the command loop sees it. A runtime (aot, tflm) implements these functions; the program
// links exactly one. There is no heap and there are no virtual calls: the linker is the plug.
#pragma once

#include <cstddef>
#include <cstdint>

// Where the arena lies: in a section of its own, which start-up leaves alone. The linker scripts of Arduino cores know
// no other than theirs.
#ifdef ARDUINO
#define DANAS_ARENA_SECTION ".bss.danas_arena"
#else
#define DANAS_ARENA_SECTION ".arena"
#endif

namespace danas::runtime {

enum class ElementType : uint8_t { kInt8, kUint8, kFloat32 };

// A tensor at the program's edge. real = scale * (q - zero_point) for integers; scale is 0 for floating point.
struct EdgeTensor {
  void* data;
  size_t bytes;
  ElementType type;
  float scale;
  int32_t zero_point;
  // Of an input that is streamed: its rows, of bytes / rows bytes each; data is null, since it is never there in whole.
  // 0: it lies at data.
  size_t rows = 0;
};

// Where the rows of a streamed input come from. Writes the next row, `bytes` bytes of it, to `row`, and returns when it
// is there; false: there is no more, and this inference fails. The rows come in order, each is asked for once, as late
// as the model can wait for it, and all are asked for, also those that the model has no use for.
//
// Here the rows come over the UART (app/protocol.cpp). In a product this is a camera's DMA: it fills the lines of a
// small buffer of its own in circular mode, and the source waits for the next line's interrupt (or for the transfer
// count to pass the end of the line), then copies the line, converted to the input's scale and zero point. The buffer
// takes the lines that the camera gives while the model computes between two rows, so its size follows from the
// slowest row, not from the frame.
using RowSource = bool (*)(int8_t* row, size_t bytes);

struct MemoryReport {
  size_t arena_bytes;  // size of the arena
  size_t used_bytes;   // highest byte that an inference has changed, plus one; of tflm what the interpreter has taken
  // Where a runtime has both: activations and scratch, and what lives as long as the program. Else 0.
  size_t head_bytes = 0;
  size_t tail_bytes = 0;
};

struct OperatorProfile {
  const char* code;  // the operator's name in TensorFlow Lite's schema; INPUT: waiting for the rows of the input
  uint32_t cycles;   // of the last inference
};

// Prepares the engine; paints the arena for the watermark. False: the engine cannot run. Where the arena is too small
// for it, memory() then says in used_bytes how large it would have to be.
bool init();

EdgeTensor input();
EdgeTensor output();

// One inference: on what lies in input(), or on the rows of `source` where input().rows is not 0. It overwrites the
// arena, input() included. False: it has failed, for want of rows; the next one may succeed.
bool invoke(RowSource source = nullptr);

MemoryReport memory();

size_t operator_count();
OperatorProfile profile(size_t index);

// "aot" or "tflm".
const char* name();

}  // namespace danas::runtime
