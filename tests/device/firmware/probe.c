// SPDX-License-Identifier: MIT
// A test program for the emulated board: real start-up, then one letter a command over USART3.
//   e TEXT \n   echo            l N4 bytes   take N bytes (little-endian count), answer with their sum
//   w           work            s N1         recurse N times, with 64 bytes of stack each
//   m           run code in RAM that changes        t   send 300,000 bytes
//   i           time of 1 ms of waiting, by the cycle counter    p  registers
//   f K         crash: r read, w write, x fetch outside memory, F write to flash, u undefined, v supervisor call,
//               b breakpoint, z wait for interrupt, s stack overflow, h halt
#include <stdint.h>

#define REG(address) (*(volatile uint32_t*)(address))
#define CYCCNT REG(0xE0001004)
#define USART 0x40004800u

extern uint32_t bss_start[], bss_end[], danas_stack_bottom[], danas_stack_top[];
int main(void);

__attribute__((naked, noreturn, used)) void reset(void) {
  __asm volatile(
      ".global danas_paint_begin\n.global danas_paint_end\n"
      "  movw r3, #0x1234\n"
      "danas_paint_begin:\n"
      "  ldr r0, =danas_stack_bottom\n  mov r1, sp\n  ldr r2, =0xC5C5C5C5\n"
      "1: cmp r0, r1\n  bhs 2f\n  str r2, [r0], #4\n  b 1b\n"
      "2:\n"
      "danas_paint_end:\n"
      "  b start\n  .ltorg\n");
}

__attribute__((used, noreturn)) void start(void) {
  REG(0xE000ED88) |= 0xFu << 20;
  for (uint32_t* word = bss_start; word < bss_end; ++word) *word = 0;
  main();
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {danas_stack_top, (void*)reset};

static void caches(void) {
  REG(0xE000ED84) = 0;
  const uint32_t size = REG(0xE000ED80);
  for (uint32_t set = 0; set <= ((size >> 13) & 0x7FFF); ++set)
    for (uint32_t way = 0; way <= ((size >> 3) & 0x3FF); ++way) REG(0xE000EF60) = way << 30 | set << 5;
  REG(0xE000ED14) |= 3u << 16;
}

static void clocks(void) {
  REG(0x40023840) |= 1u << 28;
  REG(0x40007000) |= 3u << 14;
  REG(0x40023800) |= 1u << 18 | 1u << 16;
  while (!(REG(0x40023800) & 1u << 17)) {
  }
  REG(0x40023804) = 8u | 432u << 6 | 1u << 22 | 9u << 24;
  REG(0x40023800) |= 1u << 24;
  while (!(REG(0x40023800) & 1u << 25)) {
  }
  REG(0x40007000) |= 1u << 16;
  while (!(REG(0x40007004) & 1u << 16)) {
  }
  REG(0x40007000) |= 1u << 17;
  while (!(REG(0x40007004) & 1u << 17)) {
  }
  REG(0x40023C00) = 1u << 9 | 1u << 8 | 7u;
  REG(0x40023808) |= 4u << 13 | 5u << 10;
  REG(0x40023808) = (REG(0x40023808) & ~3u) | 2u;
  while ((REG(0x40023808) & 0xCu) != 8u) {
  }
}

static void put(uint8_t byte) {
  while (!(REG(USART + 0x1C) & 1u << 7)) {
  }
  REG(USART + 0x28) = byte;
}

static uint8_t get(void) {
  while (!(REG(USART + 0x1C) & 1u << 5)) {
  }
  return (uint8_t)REG(USART + 0x24);
}

static void text(const char* s) {
  while (*s) put((uint8_t)*s++);
}

static void hex(uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) put((uint8_t)"0123456789abcdef"[value >> shift & 15]);
  put(' ');
}

static void end(void) { text("\n"); }

__attribute__((noinline)) static uint32_t work(uint32_t rounds) {
  uint32_t state = 1;
  for (uint32_t i = 0; i < rounds; ++i) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    if (state & 1) state += i * 3u;
  }
  return state;
}

__attribute__((noinline, noclone, optimize("O1", "no-optimize-sibling-calls"))) static uint32_t deep(uint32_t n) {
  volatile uint8_t room[64];
  for (uint32_t i = 0; i < sizeof room; ++i) room[i] = (uint8_t)(n + i);
  return n == 0 ? room[3] : room[5] ^ (3u * deep(n - 1));
}

// Two programs of the same size at the same place, with different numbers of instructions:
// nop.n nop.n bx lr, and nop.w bx lr.
static uint16_t code[4] __attribute__((aligned(4)));
__attribute__((noinline)) static uint32_t timed(void) {
  void (*const function)(void) = (void (*)(void))((uintptr_t)code | 1u);
  const uint32_t begin = CYCCNT;
  function();
  return CYCCNT - begin;
}
static uint32_t changing(int wide) {
  code[0] = wide ? 0xF3AF : 0xBF00;
  code[1] = wide ? 0x8000 : 0xBF00;
  code[2] = 0x4770;
  __asm volatile("dsb\n\tisb" ::: "memory");
  return timed();
}

static void crash(uint8_t kind) {
  switch (kind) {
    case 'r': (void)REG(0x60000010); break;
    case 'w': REG(0x20050000) = 1; break;
    case 'x': ((void (*)(void))0x30000001u)(); break;
    case 'F': REG(0x08000100) = 1; break;
    case 'u': __asm volatile("udf #7"); break;
    case 'v': __asm volatile("svc #1"); break;
    case 'b': __asm volatile("bkpt #2"); break;
    case 'z': __asm volatile("wfi"); break;
    case 's': deep(100); break;
    default: for (;;) {
      }
  }
}

int main(void) {
  caches();
  clocks();
#ifdef BATCH
  volatile uint32_t kept = work(BATCH) + deep(9);
  for (int i = 0; i < 6; ++i) kept += changing(i & 1);
  (void)kept;
  return 0;
#endif
  REG(USART + 0x0C) = 54000000u / 921600u;
  REG(USART + 0x00) = 0xD;
  REG(0xE0001004) = 55;  // locked, and the trace is off: no effect
  text("hello "), hex(CYCCNT), end();
  REG(0xE000EDFC) |= 1u << 24;
  REG(0xE0001FB0) = 0xC5ACCE55;
  CYCCNT = 0;
  REG(0xE0001000) |= 1;
  for (;;) {
    switch (get()) {
      case 'e':
        for (uint8_t byte = 0; byte != '\n';) put(byte = get());
        break;
      case 'l': {
        uint32_t count = 0, sum = 0;
        for (int shift = 0; shift < 32; shift += 8) count |= (uint32_t)get() << shift;
        for (uint32_t i = 0; i < count; ++i) sum = sum * 31u + get();
        hex(sum), end();
        break;
      }
      case 'w': {
        const uint32_t begin = CYCCNT;
        __asm volatile("" ::: "memory");
        volatile uint32_t value = work(10000);
        const uint32_t cycles = CYCCNT - begin;
        hex(value), hex(cycles), end();
        break;
      }
      case 's': hex(deep(get())), end(); break;
      case 'm':
        for (int i = 0; i < 4; ++i) hex(changing(i & 1));
        end();
        break;
      case 't':
        for (uint32_t i = 0; i < 300000; ++i) put((uint8_t)(i % 61 == 60 ? '\n' : 'A' + i % 26));
        text("\nover"), end();
        break;
      case 'i': {
        const uint32_t begin = CYCCNT;
        while (CYCCNT - begin < 21600000u)
          if (REG(USART + 0x1C) & 1u << 5) break;
        hex(CYCCNT - begin), end();
        break;
      }
      case 'p': hex(REG(0xE000ED00)), hex(*(volatile uint8_t*)0xE000ED01), hex(REG(USART + 0x1C)), end(); break;
      case 'f': crash(get()); text("survived"), end(); break;
      default: break;
    }
  }
}
