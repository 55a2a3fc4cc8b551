// SPDX-License-Identifier: MIT
// Where the output of the first inference on a loaded input is kept: the arena is overwritten by the next one.
// first_output.cpp is rendered with the model, so that a model with more classes recompiles that file alone.
#pragma once

#include <cstdint>

namespace danas::app {

extern uint8_t first_output[];

}  // namespace danas::app
