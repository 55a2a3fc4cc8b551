// SPDX-License-Identifier: MIT
// The command loop; docs/protocol.md.
#pragma once

namespace danas::app {

// Says `m-init-done` and answers commands for ever. `ready`: the runtime has been initialised.
[[noreturn]] void serve(bool ready);

}  // namespace danas::app
