// SPDX-License-Identifier: MIT
// What an STM32F446 answers to the harness: its RCC and PWR are those of an STM32F7 (RM0390, RM0385).
#pragma once

#include "port_chip_stm32f7.h"
