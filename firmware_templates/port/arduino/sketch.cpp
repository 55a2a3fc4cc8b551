// SPDX-License-Identifier: MIT
// The program as an Arduino core calls it: its main() calls setup() once. The command loop does not return.
#include <Arduino.h>

#include "port.h"
#include "protocol.h"
#include "runtime.h"

void setup() {
  danas::port::init();
  danas::app::serve(danas::runtime::init());
}

void loop() {}
