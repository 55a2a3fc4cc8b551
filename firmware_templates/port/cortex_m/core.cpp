// SPDX-License-Identifier: MIT
#include "cortex_m/core.h"

#include "cortex_m/linker.h"
#include "cortex_m/registers.h"
#include "port.h"

namespace danas::cortex_m {

using port::at;

namespace {

constexpr uint32_t kGuardLog2 = 16;  // linker.ld checks that RAM starts at a multiple of it

void barrier() { __asm volatile("dsb\n\tisb" ::: "memory"); }

// A cache holds arbitrary lines after reset, so each is invalidated before the cache is enabled:
// ARM, cache maintenance operations and CCSIDR.
void invalidate_data_cache() {
  at(kCsselr) = 0;  // level 1, data
  barrier();
  const uint32_t size = at(kCcsidr);
  const uint32_t last_set = (size >> 13) & 0x7FFF;
  const uint32_t last_way = (size >> 3) & 0x3FF;
  const uint32_t set_shift = (size & 7) + 4;  // log2 of the bytes in a line
  const uint32_t way_shift = last_way == 0 ? 0 : static_cast<uint32_t>(__builtin_clz(last_way));
  for (uint32_t set = 0; set <= last_set; ++set) {
    for (uint32_t way = 0; way <= last_way; ++way) {
      at(kDcisw) = (way << way_shift) | (set << set_shift);
    }
  }
  barrier();
}

// The bus would refuse such an access too, but on a Cortex-M7 its answer to a store comes asynchronously: the program
// would run on meanwhile, and be stopped somewhere else (PM0253, synchronous and asynchronous bus faults).
void guard_stack() {
  at(kMpuRbar) = (reinterpret_cast<uintptr_t>(danas_stack_bottom) - (1u << kGuardLog2)) | kMpuRegionValid;
  at(kMpuRasr) = mpu_no_access(kGuardLog2);
  at(kMpuCtrl) = kMpuDefaultMap | kMpuEnable;
}

}  // namespace

void enable_caches() {
  at(kIciallu) = 0;
  barrier();
  at(kCcr) = at(kCcr) | kCcrInstructionCache;
  invalidate_data_cache();
  at(kCcr) = at(kCcr) | kCcrDataCache;
  barrier();
}

void start_cycle_counter() {
  at(kDemcr) = at(kDemcr) | kDemcrTraceEnable;
  at(kDwtLar) = kLarKey;
  at(kDwtCyccnt) = 0;
  at(kDwtCtrl) = at(kDwtCtrl) | kDwtCtrlCycleCounter;
}

void enable_faults() {
  guard_stack();
  at(kShcsr) = at(kShcsr) | kShcsrMemManage | kShcsrBusFault | kShcsrUsageFault;
  at(kCcr) = at(kCcr) | kCcrDiv0Trap;
  barrier();
}

}  // namespace danas::cortex_m

namespace danas::port {

RamReport ram() {
  const uint32_t* unused = danas_stack_bottom;
  while (unused < danas_stack_top && *unused == cortex_m::kStackPaint) {
    ++unused;
  }
  const auto bytes = [](const uint32_t* from, const uint32_t* to) { return static_cast<size_t>(to - from) * 4; };
  return RamReport{
      bytes(danas_data_start, danas_data_end) + bytes(danas_bss_start, danas_bss_end),
      bytes(danas_stack_bottom, danas_stack_top),
      bytes(unused, danas_stack_top),
  };
}

}  // namespace danas::port
