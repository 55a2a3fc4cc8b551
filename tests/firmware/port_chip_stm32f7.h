// SPDX-License-Identifier: MIT
// What an STM32F7 answers to the harness; RM0385.
#pragma once

namespace {

constexpr uintptr_t kRccCr = 0x4002'3800, kRccCfgr = 0x4002'3808, kPwrCr1 = 0x4000'7000, kPwrCsr1 = 0x4000'7004;

std::map<uintptr_t, uint32_t> words = {{kRccCr, 0x83}, {0x4002'3804, 0x2400'3010}, {kPwrCr1, 0xC000}};

uint32_t answer(uintptr_t address) {
  const uint32_t control = words[kRccCr];
  if (address == kRccCr) {
    const uint32_t ready = ((control & 1u << 16) != 0 && !clock_is_dead ? 1u << 17 : 0);
    return control | ready | ((control & 1u << 24) << 1);
  }
  if (address == kPwrCsr1) {
    const uint32_t power = words[kPwrCr1];
    return (power & 3u << 16) | ((control & 1u << 24) != 0 ? 1u << 14 : 0);
  }
  return words[address] | (address == kRccCfgr && !switch_is_stuck ? (words[address] & 3) << 2 : 0);
}

}  // namespace
