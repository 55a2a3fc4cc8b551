// SPDX-License-Identifier: MIT
// The command loop as a fuzz target: libFuzzer's entry points, which app_fuzz_driver.cpp calls where there is no clang.
//
// First byte: bit 0 says whether the input is streamed. In the rest 0xFE stands for a pause, of 10 ms times the byte
// behind it; all else is what the UART hears.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// In this translation unit, so that each input begins with a device that has just been started.
#include "protocol.cpp"

namespace {

constexpr size_t kBytes = 300;
constexpr size_t kRows = 3;
constexpr uint32_t kHz = 216'000'000;
constexpr int kMostInferences = 200;  // `infer 999999999` would take its time
constexpr uint8_t kPause = 0xFE;

const uint8_t* heard_bytes;
size_t heard_count;
size_t position;
uint32_t pause_ms;
uint64_t now;
int inferences;
bool by_rows;
std::jmp_buf finished;
size_t said_count;
bool line_is_text;  // since the last line's end only text has been said

alignas(4) uint8_t arena[kBytes];

}  // namespace

namespace danas::identity {
const char board[] = "host";
const char build_id[] = "0123456789abcdef";
const char model_hash[] = "hash";
const unsigned char db_flip = 0;
const char model_id[] = "model";
}  // namespace danas::identity

namespace danas::app {
alignas(4) uint8_t first_output[kBytes];
}

namespace danas::port {

void put(uint8_t byte) {
  ++said_count;
  // What is said is printable text in lines, or a transfer's answer.
  const bool answer = byte == 0x05 || byte == 0x06 || byte == 0x15;
  if (!answer && byte != '\r' && byte != '\n' && (byte < ' ' || byte > '~')) {
    std::fprintf(stderr, "said 0x%02x\n", byte);
    std::abort();
  }
}

int get() {
  now += 1000;
  if (pause_ms != 0) {
    --pause_ms;
    now += kHz / 1000;
    return -1;
  }
  if (position == heard_count) {
    std::longjmp(finished, 1);
  }
  const uint8_t byte = heard_bytes[position++];
  if (byte == kPause && position < heard_count) {
    pause_ms = 10u * heard_bytes[position++];
    return -1;
  }
  return byte;
}

uint32_t cycles() { return static_cast<uint32_t>(now += 10); }
uint32_t clock_hz() { return kHz; }
RamReport ram() { return RamReport{1, 2, 3}; }

}  // namespace danas::port

namespace danas::runtime {

// FUZZ_LIE: the firmware thinks that the input is so much larger than it is. The fuzzer must find that.
EdgeTensor input() {
  return EdgeTensor{by_rows ? nullptr : arena, kBytes + FUZZ_LIE, ElementType::kInt8, 0.5f, 0, by_rows ? kRows : 0};
}
EdgeTensor output() { return EdgeTensor{arena, sizeof arena, ElementType::kInt8, 0.5f, -3}; }

bool invoke(RowSource source) {
  if (++inferences > kMostInferences) {
    std::longjmp(finished, 1);
  }
  for (size_t row = 0; by_rows && row != kRows; ++row) {
    constexpr size_t kRowBytes = kBytes / kRows;
    if (!source(reinterpret_cast<int8_t*>(arena) + row * kRowBytes, kRowBytes)) {
      return false;
    }
  }
  return inferences % 7 != 0;
}

MemoryReport memory() { return MemoryReport{64, 48}; }
size_t operator_count() { return 2; }
OperatorProfile profile(size_t index) { return OperatorProfile{index == 0 ? "ADD" : "PAD", 7}; }
const char* name() { return "fake"; }

}  // namespace danas::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  by_rows = (data[0] & 1) != 0;
  heard_bytes = data + 1;
  heard_count = size - 1;
  position = 0;
  pause_ms = 0;
  now = 0xFFFF'0000;
  inferences = 0;
  danas::app::state = danas::app::State();
  danas::app::heard = danas::app::Heard();
  danas::app::stream_of_rows = nullptr;
  if (setjmp(finished) == 0) {
    danas::app::serve((data[0] & 2) == 0);
  }
  return 0;
}

namespace {

uint32_t seed_of_mutations;

uint32_t random_below(uint32_t limit) {
  seed_of_mutations ^= seed_of_mutations << 13;  // Marsaglia's xorshift32
  seed_of_mutations ^= seed_of_mutations >> 17;
  seed_of_mutations ^= seed_of_mutations << 5;
  return seed_of_mutations % limit;
}

// A whole frame; nobody guesses a CRC.
size_t make_frame(uint8_t* to) {
  constexpr size_t kSizes[] = {1, 2, 20, 99, 100, 101, 150, 299, 300, 301, 302};
  const size_t length = kSizes[random_below(sizeof kSizes / sizeof *kSizes)];
  size_t end = 0;
  to[end++] = 0xA5;
  to[end++] = static_cast<uint8_t>(random_below(4));
  to[end++] = static_cast<uint8_t>(length);
  to[end++] = static_cast<uint8_t>(length >> 8);
  for (size_t index = 0; index < length; ++index) {
    to[end++] = static_cast<uint8_t>(random_below(256));
  }
  const uint32_t crc = danas::app::crc32(to + 1, end - 1);
  for (int shift = 0; shift < 32; shift += 8) {
    to[end++] = static_cast<uint8_t>(crc >> shift);
  }
  return end;
}

size_t make_piece(uint8_t* to) {
  static const char* const kWords[] = {
      "name%", "profile%", "help%", "timestamp%", "id%", "memory%", "crc%", "output%", "ops%", "run%", "results%",
      "db load 300%", "db load 301%", "db 00112233%", "db 0%", "db print%", "infer 1%", "infer 3 2%", "infer 999999999 1%",
      "load 300%", "load 301%", "stream 300%", "stream 301%", "#00000001 ", "#ffffffff ", "#", "%", "\xfe\xff", "\xfe\x05",
      "db 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425%"};
  if (random_below(3) == 0) {
    return make_frame(to);
  }
  const char* word = kWords[random_below(sizeof kWords / sizeof *kWords)];
  const size_t length = std::strlen(word);
  std::memcpy(to, word, length);
  return length;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  seed_of_mutations = seed | 1;
  for (uint32_t times = 1 + random_below(4); times != 0; --times) {
    uint8_t piece[400];
    const size_t place = size == 0 ? 0 : random_below(static_cast<uint32_t>(size + 1));
    switch (random_below(size == 0 ? 1 : 5)) {
      case 0:
      case 1: {  // a command or frame more; as often as not at the end
        const size_t length = make_piece(piece);
        const size_t at = random_below(2) == 0 ? size : place;
        if (size + length <= most) {
          std::memmove(data + at + length, data + at, size - at);
          std::memcpy(data + at, piece, length);
          size += length;
        }
        break;
      }
      case 2:
        data[place % size] ^= static_cast<uint8_t>(1u << random_below(8));
        break;
      case 3:
        data[place % size] = static_cast<uint8_t>(random_below(256));
        break;
      default: {  // some bytes less
        const size_t most_less = size - place % size;
        const size_t less = 1 + random_below(static_cast<uint32_t>(most_less < 64 ? most_less : 64));
        std::memmove(data + place % size, data + place % size + less, size - place % size - less);
        size -= less;
      }
    }
  }
  return size;
}
