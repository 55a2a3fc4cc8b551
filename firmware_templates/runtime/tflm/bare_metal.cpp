// SPDX-License-Identifier: MIT
// What the interpreter's code would take from a C++ library with a heap and a console.
#include <cstddef>

// For micro_interpreter_graph.cc alone, which is compiled with its messages: without them it does not profile. Where
// they would go, the host reads replies.
void MicroPrintf(const char*, ...);
void MicroPrintf(const char*, ...) {}

// Virtual destructors name them; nothing is ever deleted.
void operator delete(void*) noexcept {}
void operator delete(void*, std::size_t) noexcept {}

// A failed check. The fault handler reports where.
extern "C" [[noreturn]] void abort() { __builtin_trap(); }
