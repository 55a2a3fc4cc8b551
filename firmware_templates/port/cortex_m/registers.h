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

// System control block: ARM, table B3-4.
constexpr uintptr_t kVtor = 0xE000'ED08;    // vector table offset
constexpr uintptr_t kCcr = 0xE000'ED14;     // configuration and control
constexpr uintptr_t kShcsr = 0xE000'ED24;   // system handler control and state
constexpr uintptr_t kCfsr = 0xE000'ED28;    // configurable fault status: usage, bus, memory management
constexpr uintptr_t kMmfar = 0xE000'ED34;   // memory management fault address
constexpr uintptr_t kBfar = 0xE000'ED38;    // bus fault address
constexpr uintptr_t kCcsidr = 0xE000'ED80;  // cache size, of the cache that CSSELR selects
constexpr uintptr_t kCsselr = 0xE000'ED84;  // cache size selection
constexpr uintptr_t kIciallu = 0xE000'EF50;  // invalidate the whole instruction cache: ARM, B2.2.7
constexpr uintptr_t kDcisw = 0xE000'EF60;    // invalidate a data cache line by set and way

constexpr uint32_t kCcrDiv0Trap = 1u << 4;
constexpr uint32_t kCcrDataCache = 1u << 16;
constexpr uint32_t kCcrInstructionCache = 1u << 17;

constexpr uint32_t kShcsrMemManage = 1u << 16;
constexpr uint32_t kShcsrBusFault = 1u << 17;
constexpr uint32_t kShcsrUsageFault = 1u << 18;

constexpr uint32_t kCfsrMmarValid = 1u << 7;
constexpr uint32_t kCfsrBfarValid = 1u << 15;

// Debug: ARM, table C1-10 (DEMCR) and table C1-21 (DWT).
constexpr uintptr_t kDemcr = 0xE000'EDFC;
constexpr uintptr_t kDwtCtrl = 0xE000'1000;
constexpr uintptr_t kDwtCyccnt = 0xE000'1004;
constexpr uintptr_t kDwtLar = 0xE000'1FB0;  // software lock of the debug components, closed at reset on a Cortex-M7

constexpr uint32_t kDemcrTraceEnable = 1u << 24;
constexpr uint32_t kDwtCtrlCycleCounter = 1u << 0;
constexpr uint32_t kLarKey = 0xC5AC'CE55;

}  // namespace danas::cortex_m
