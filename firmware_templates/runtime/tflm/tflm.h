// SPDX-License-Identifier: MIT
// What is rendered with the model for the tflm runtime: the flatbuffer, the arena, the operators.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_op_resolver.h"

namespace danas::model {

// The .tflite as it is, at a multiple of 16.
extern const uint32_t kFlatbuffer[];

// The interpreter's only memory, in the section that start-up leaves alone.
extern uint8_t* const kArena;
extern const size_t kArenaBytes;

extern const size_t kOperators;

// Of the last inference, kOperators of each.
extern uint32_t cycles_of[];
extern const char* code_of[];

// The kernels of the operators that the model has, and no others. nullptr: one could not be registered.
const tflite::MicroOpResolver* operators();

}  // namespace danas::model
