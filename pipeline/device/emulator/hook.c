// SPDX-License-Identifier: MIT
// The emulated board's fast path: what runs at every block of code, at every stack store and at every access to the
// UART and the cycle counter. Everything else goes to Python. Compiled on demand on the user's machine (native.py),
// which also gives the meaning of each field; the layout of struct hook_state is repeated there.
//
// This file includes nothing of the engine: the signatures of its callbacks are written out below.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RX_CAPACITY 32768u
#define TX_CAPACITY 4096u
#define RAM_AREAS 16u
#define TX_FLUSH 1024u
// Line feeds and bytes of a transfer: a program may compute for long behind one.
#define GOES_AT_ONCE(byte) ((byte) < ' ' && (byte) != '\r')
#define SELF_BRANCH 0xE7FEu

typedef struct hook_state {
  uint64_t instructions;
  uint64_t idle_cycles;
  uint64_t lowest_store;
  uint64_t cycle_origin;
  uint32_t counter_runs;
  uint32_t halted;
  uint32_t watch;        // stores count: the block at hand paints no stack
  uint32_t uart_status;  // status register while a received byte waits; 0: the UART does not receive
  uint32_t uart_transmits;
  uint32_t rx_head, rx_tail;  // [head, tail) waits
  uint32_t tx_count;
  uint32_t tx_total, tx_seen;  // bytes sent since reset (wraps), and as many at the last look at the status
  uint32_t paint_begin, paint_end;
  uint32_t uart_status_at, uart_received, uart_receive_at, uart_send_at;  // addresses; the bit of a waiting byte
  uint32_t cycle_counter;
  uint32_t flash_base, flash_bytes;
  uint32_t ram_base[RAM_AREAS], ram_bytes[RAM_AREAS];  // of 0 bytes: there is none
  const uint8_t* flash;
  const uint8_t* ram[RAM_AREAS];
  uint32_t* known;  // one entry a halfword of flash: block size in bytes << 16 | instructions; 0: not known
  int (*stop)(void* engine);
  uint64_t (*slow_read)(void* engine, uint64_t offset, unsigned size, void* window);
  void (*slow_write)(void* engine, uint64_t offset, unsigned size, uint64_t value, void* window);
  uint8_t rx[RX_CAPACITY];
  uint8_t tx[TX_CAPACITY];
} hook_state;

// A window of registers: its base, and the state.
typedef struct hook_window {
  uint64_t base;
  hook_state* state;
} hook_window;

// Layout check for native.py.
size_t danas_hook_state_bytes(void) { return sizeof(hook_state); }

static uint32_t halfword(const uint8_t* code) { return (uint32_t)code[0] | (uint32_t)code[1] << 8; }

// A halfword whose top five bits are 0b11101, 0b11110 or 0b11111 begins an instruction of 32 bits (DDI 0403, A5.1).
static uint32_t count_instructions(const uint8_t* code, uint32_t size) {
  uint32_t count = 0;
  for (uint32_t at = 0; at + 1 < size; ++count) at += halfword(code + at) >= 0xE800u ? 4 : 2;
  return count;
}

void danas_hook_block(void* engine, uint64_t address, uint32_t size, void* user) {
  hook_state* const s = user;
  const uint32_t begin = (uint32_t)address;
  s->watch = !(begin < s->paint_end && begin + size > s->paint_begin);
  const uint32_t in_flash = begin - s->flash_base;
  if (in_flash < s->flash_bytes && size <= s->flash_bytes - in_flash && size < 0x10000u) {
    uint32_t* const known = &s->known[in_flash >> 1];
    if (*known >> 16 != size) {
      *known = size << 16 | count_instructions(s->flash + in_flash, size);
    }
    s->instructions += *known & 0xFFFFu;
    if (size == 2 && halfword(s->flash + in_flash) == SELF_BRANCH) {
      s->halted = 1;
      s->stop(engine);
    }
    return;
  }
  // Code in RAM may change at any time: it is decoded each time it is entered.
  for (uint32_t area = 0; area < RAM_AREAS; ++area) {
    const uint32_t in_ram = begin - s->ram_base[area];
    if (in_ram < s->ram_bytes[area] && size <= s->ram_bytes[area] - in_ram) {
      s->instructions += count_instructions(s->ram[area] + in_ram, size);
      if (size == 2 && halfword(s->ram[area] + in_ram) == SELF_BRANCH) {
        s->halted = 1;
        s->stop(engine);
      }
      return;
    }
  }
}

void danas_hook_store(void* engine, int type, uint64_t address, int size, int64_t value, void* user) {
  hook_state* const s = user;
  (void)engine, (void)type, (void)size, (void)value;
  if (s->watch && address < s->lowest_store) s->lowest_store = address;
}

uint64_t danas_hook_read(void* engine, uint64_t offset, unsigned size, void* user) {
  const hook_window* const window = user;
  hook_state* const s = window->state;
  const uint32_t address = (uint32_t)(window->base + offset);
  if (address == s->uart_status_at && size == 4 && s->uart_status) {
    if (s->rx_head != s->rx_tail) return s->uart_status;
    if (s->tx_seen != s->tx_total) {
      // The program asks whether it may send on; it does not wait for the host.
      s->tx_seen = s->tx_total;
      return s->uart_status & ~s->uart_received;
    }
  }
  if (address == s->uart_receive_at && s->rx_head != s->rx_tail) return s->rx[s->rx_head++];
  if (address == s->cycle_counter && size == 4 && s->counter_runs) {
    return (uint32_t)(s->instructions + s->idle_cycles - s->cycle_origin);
  }
  return s->slow_read(engine, offset, size, user);
}

void danas_hook_write(void* engine, uint64_t offset, unsigned size, uint64_t value, void* user) {
  const hook_window* const window = user;
  hook_state* const s = window->state;
  const uint32_t address = (uint32_t)(window->base + offset);
  const uint8_t byte = (uint8_t)value;
  if (address == s->uart_send_at && s->uart_transmits && !GOES_AT_ONCE(byte) && s->tx_count + 1 < TX_FLUSH) {
    s->tx[s->tx_count++] = byte;
    ++s->tx_total;
    return;
  }
  s->slow_write(engine, offset, size, value, user);
}
