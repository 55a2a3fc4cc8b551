// SPDX-License-Identifier: MIT
#include "text.h"

#include <cstring>

#include "crc32.h"
#include "port.h"
#include "stopwatch.h"

namespace danas::app {

namespace {

constexpr size_t kBytesALine = 32;

Crc32 said;

void put(char character) {
  said.add(static_cast<uint8_t>(character));
  port::put(static_cast<uint8_t>(character));
}

void hex_digit(uint32_t value) { put("0123456789abcdef"[value & 15]); }

// Long division of a 64-bit number by 10 in 16-bit steps: the 32-bit divider does all of it, and libgcc's 64-bit
// division, 10 times the code, stays out of the program.
uint32_t divide_by_10(uint64_t& value) {
  uint32_t remainder = 0;
  uint64_t quotient = 0;
  for (int shift = 48; shift >= 0; shift -= 16) {
    const uint32_t part = (remainder << 16) | (static_cast<uint32_t>(value >> shift) & 0xFFFF);
    quotient |= static_cast<uint64_t>(part / 10) << shift;
    remainder = part % 10;
  }
  value = quotient;
  return remainder;
}

}  // namespace

void begin_sum(const char* heard) {
  said = Crc32();
  while (*heard != '\0') {
    said.add(static_cast<uint8_t>(*heard++));
  }
}

uint32_t sum() { return said.value(); }

void text(const char* zero_terminated) {
  while (*zero_terminated != '\0') {
    put(*zero_terminated++);
  }
}

void decimal(uint64_t value) {
  char digits[20];  // 2^64 has 20
  size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + divide_by_10(value));
  } while (value != 0);
  while (count != 0) {
    put(digits[--count]);
  }
}

void hex32(uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) {
    hex_digit(value >> shift);
  }
}

void real(float value) {
  if (value != value) {
    text("nan");
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const bool negative = (bits >> 31) != 0;
  const float magnitude = negative ? -value : value;
  uint32_t whole = 0xFFFF'FFFF;
  uint32_t thousandths = 0;
  if (magnitude < 4294967296.0f) {
    whole = static_cast<uint32_t>(magnitude);
    // Exact: a float with a fraction is below 2^23.
    thousandths = static_cast<uint32_t>((magnitude - static_cast<float>(whole)) * 1000.0f + 0.5f);
    if (thousandths == 1000) {
      thousandths = 0;
      ++whole;
    }
  }
  if (negative && (whole != 0 || thousandths != 0)) {
    put('-');
  }
  decimal(whole);
  put('.');
  put(static_cast<char>('0' + thousandths / 100));
  put(static_cast<char>('0' + thousandths / 10 % 10));
  put(static_cast<char>('0' + thousandths % 10));
}

void hex_lines(const char* name, const uint8_t* bytes, size_t count) {
  size_t done = 0;
  do {
    text("m-");
    text(name);
    text("-[");
    for (size_t column = 0; column < kBytesALine && done < count; ++column, ++done) {
      hex_digit(bytes[done] >> 4);
      hex_digit(bytes[done]);
    }
    put(']');
    end_line();
  } while (done < count);
}

void end_line() {
  text("\r\n");
  (void)microseconds();  // many lines at a low baud rate take longer than a turn of the counter
}

void error(const char* what) {
  text("e-[");
  text(what);
  put(']');
  end_line();
}

}  // namespace danas::app
