// SPDX-License-Identifier: MIT
#include "port.h"
#include "protocol.h"
#include "runtime.h"

int main() {
  danas::port::init();
  danas::app::serve(danas::runtime::init());
}
