// SPDX-License-Identifier: MIT
// System registers of an Armv7-M core (Cortex-M4, Cortex-M7).
// ARM: Armv7-M Architecture Reference Manual, DDI 0403.
#pragma once

#include <cstdint>

namespace danas::port {

using Register = volatile uint32_t;

inline Register& at(uintptr_t address) { return *reinterpret_cast<Register*>(address); }

}  // namespace danas::port

namespace danas::cortex_m {

// System control block: ARM, register summary of the system control block; caches: cache maintenance operations.
constexpr uintptr_t kVtor = 0xE000'ED08;    // vector table offset
constexpr uintptr_t kCcr = 0xE000'ED14;     // configuration and control
constexpr uintptr_t kShcsr = 0xE000'ED24;   // system handler control and state
constexpr uintptr_t kCfsr = 0xE000'ED28;    // configurable fault status: usage, bus, memory management
constexpr uintptr_t kMmfar = 0xE000'ED34;   // memory management fault address
constexpr uintptr_t kBfar = 0xE000'ED38;    // bus fault address
constexpr uintptr_t kCcsidr = 0xE000'ED80;  // cache size, of the cache that CSSELR selects
constexpr uintptr_t kCsselr = 0xE000'ED84;  // cache size selection
constexpr uintptr_t kIciallu = 0xE000'EF50;  // invalidate the whole instruction cache
constexpr uintptr_t kDcisw = 0xE000'EF60;    // invalidate a data cache line by set and way

constexpr uint32_t kCcrDiv0Trap = 1u << 4;
constexpr uint32_t kCcrDataCache = 1u << 16;
constexpr uint32_t kCcrInstructionCache = 1u << 17;

constexpr uint32_t kShcsrMemManage = 1u << 16;
constexpr uint32_t kShcsrBusFault = 1u << 17;
constexpr uint32_t kShcsrUsageFault = 1u << 18;

constexpr uint32_t kCfsrMmarValid = 1u << 7;
constexpr uint32_t kCfsrBfarValid = 1u << 15;

// Memory protection unit: ARM, protected memory system architecture.
constexpr uintptr_t kMpuCtrl = 0xE000'ED94;
constexpr uintptr_t kMpuRbar = 0xE000'ED9C;  // base address and number of a region
constexpr uintptr_t kMpuRasr = 0xE000'EDA0;  // its size and attributes

constexpr uint32_t kMpuEnable = 1u << 0;
constexpr uint32_t kMpuDefaultMap = 1u << 2;   // PRIVDEFENA: what no region covers is as without the unit
constexpr uint32_t kMpuRegionValid = 1u << 4;  // the number in RBAR counts
constexpr uint32_t kMpuRegionEnable = 1u << 0;
constexpr uint32_t kMpuNoExecute = 1u << 28;
// AP is 0: no access at all. SIZE is in bits 5 to 1, log2 of the bytes less 1.
constexpr uint32_t mpu_no_access(uint32_t log2_bytes) {
  return kMpuNoExecute | (log2_bytes - 1) << 1 | kMpuRegionEnable;
}

// Debug: ARM, DEMCR and the data watchpoint and trace unit.
constexpr uintptr_t kDemcr = 0xE000'EDFC;
constexpr uintptr_t kDwtCtrl = 0xE000'1000;
constexpr uintptr_t kDwtCyccnt = 0xE000'1004;
constexpr uintptr_t kDwtLar = 0xE000'1FB0;  // software lock of the debug components, closed at reset on a Cortex-M7

constexpr uint32_t kDemcrTraceEnable = 1u << 24;
constexpr uint32_t kDwtCtrlCycleCounter = 1u << 0;
constexpr uint32_t kLarKey = 0xC5AC'CE55;

}  // namespace danas::cortex_m
