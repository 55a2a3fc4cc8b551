# SPDX-License-Identifier: MIT
"""Extra script of every environment: what a bare-metal program needs beyond PlatformIO's build flags.

It runs after the platform's own builder, so that it holds for the local platform and for stock ones alike:

- the machine flags among ``build_flags`` and the ``custom_link_flags`` reach the linker;
- the linker script rendered for the board is used, and a change of it links again;
- a link map is written beside the ELF;
- a probe's serial number in ``DANAS_PROBE_SERIAL`` is passed to OpenOCD (0.12 or later);
- with ``DANAS_CHIP``, the address of DBGMCU_IDCODE and the DEV_ID that must be there (``0xe0042000:0x449``), OpenOCD
  asks the chip before it programs it, and ends where it is another.
"""

import os
import re
from pathlib import Path

from SCons.Script import DefaultEnvironment

_MACHINE = ("-mcpu=", "-mthumb", "-mfpu=", "-mfloat-abi=")

env = DefaultEnvironment()
script = os.path.normpath(env.subst(env.GetProjectOption("custom_linker_script")))
env.Append(
    LINKFLAGS=[
        *(flag for flag in env["CCFLAGS"] if isinstance(flag, str) and flag.startswith(_MACHINE)),
        *env.GetProjectOption("custom_link_flags").split(),
        "-T",
        script,
        # Not -Wl, which would split the path at a comma; expanded here, so that a space stays inside one argument.
        "-Xlinker",
        "-Map=" + env.subst("${BUILD_DIR}/${PROGNAME}.map"),
    ],
)
if env.get("PIOMAINPROG"):  # absent with `-t nobuild`
    env.Depends(env["PIOMAINPROG"], env.File(script))

serial = os.environ.get("DANAS_PROBE_SERIAL", "")
if serial:
    # The number ends up in a Tcl command: nothing but letters and digits may get there.
    if not re.fullmatch(r"[0-9A-Za-z]{4,64}", serial):
        raise SystemExit("DANAS_PROBE_SERIAL: a probe's serial number has 4 to 64 letters and digits")
    env.Prepend(UPLOADERFLAGS=["-c", f"adapter serial {serial}"])

chip = os.environ.get("DANAS_CHIP", "")
if chip:
    asked = re.fullmatch(r"(0x[0-9a-f]{1,8}):(0x[0-9a-f]{1,3})", chip)
    if asked is None:
        raise SystemExit("DANAS_CHIP: an address and a DEV_ID, both hexadecimal")
    flags = list(env["UPLOADERFLAGS"])
    programs = [number for number, flag in enumerate(flags) if str(flag).startswith("program ")]
    if not programs:
        raise SystemExit("DANAS_CHIP: this environment does not upload with OpenOCD")
    # In front of the "-c" of the command that programs, behind all that configures the probe.
    begin = programs[0] - 1
    asks = Path(env.subst("$PROJECT_DIR")) / "firmware_templates" / "platform" / "demand_chip.tcl"
    flags[begin:begin] = ["-f", str(asks), "-c", f"danas_demand_chip {asked[1]} {asked[2]}"]
    env.Replace(UPLOADERFLAGS=flags)
