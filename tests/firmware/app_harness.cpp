// SPDX-License-Identifier: MIT
// The command loop on the host: a port whose UART is stdin and stdout, and a runtime of four bytes.
//
// stdin is a series of chunks: pause in milliseconds (4 bytes, little-endian), length (4 bytes), bytes. A chunk comes
// after its pause; at the end of stdin the program exits.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "first_output.h"
#include "identity.h"
#include "port.h"
#include "protocol.h"
#include "runtime.h"

namespace danas::identity {
const char board[] = "host";
const char build_id[] = "0123456789abcdef";
const char model_hash[] = "hash";
const unsigned char db_flip = HARNESS_FLIP;
const char model_id[] = HARNESS_MODEL;
}  // namespace danas::identity

namespace danas::app {
alignas(4) uint8_t first_output[HARNESS_BYTES];
}

namespace danas::port {
namespace {

constexpr uint32_t kHz = 216'000'000;
uint64_t now = 0xFFFF'0000;  // about to wrap
uint32_t pause_ms = 0;
uint32_t left = 0;

uint32_t read_word() {
  uint8_t bytes[4];
  if (std::fread(bytes, 1, 4, stdin) != 4) {
    std::fflush(stdout);
    std::exit(0);
  }
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

}  // namespace

void put(uint8_t byte) { std::putchar(byte); }

int get() {
  now += 1000;
  if (left == 0) {
    pause_ms = read_word();
    left = read_word();
  }
  if (pause_ms != 0) {
    --pause_ms;
    now += kHz / 1000;
    return -1;
  }
  --left;
  return std::getchar();
}

void compute(uint32_t milliseconds) { now += kHz / 1000 * milliseconds; }

uint32_t cycles() { return static_cast<uint32_t>(now += 10); }
uint32_t clock_hz() { return kHz; }
RamReport ram() { return RamReport{1, 2, 3}; }

}  // namespace danas::port

namespace danas::runtime {
namespace {

alignas(4) uint8_t arena[HARNESS_BYTES];
int inferences = 0;

}  // namespace

EdgeTensor input() {
  return EdgeTensor{HARNESS_ROWS == 0 ? arena : nullptr, sizeof arena, ElementType::kInt8, 0.5f, 0, HARNESS_ROWS};
}
EdgeTensor output() { return EdgeTensor{arena, sizeof arena, ElementType::HARNESS_OUTPUT, 0.5f, -3}; }

// The output is the input of the first inference after a load; every further one gives another output. The rows of a
// streamed input are taken with 10 ms of computing between them.
bool invoke(RowSource source) {
  port::cycles();
  for (size_t row = 0; row != HARNESS_ROWS; ++row) {
    constexpr size_t kBytes = HARNESS_BYTES / (HARNESS_ROWS + (HARNESS_ROWS == 0));
    if (!source(reinterpret_cast<int8_t*>(arena) + row * kBytes, kBytes)) {
      return false;
    }
    port::compute(10);
  }
  ++inferences;
  for (uint8_t& byte : arena) {
    byte = static_cast<uint8_t>(inferences == 1 || HARNESS_KEEP ? byte : byte + 1);
  }
  return true;
}

MemoryReport memory() { return MemoryReport{64, 48}; }
size_t operator_count() { return 2; }
OperatorProfile profile(size_t index) { return OperatorProfile{index == 0 ? "ADD" : "PAD", 7}; }
const char* name() { return "fake"; }

}  // namespace danas::runtime

int main() { danas::app::serve(true); }
