"""Stands in for OpenOCD 0.12.0 with an ST-LINK: takes its arguments and says its sentences, one behaviour a call.

``FAKE_OPENOCD`` names a folder: ``behaviours`` there has a word a line, one for each call in turn (the last one
stays); ``calls`` gets a line of JSON a call, ``flash`` what was programmed last. The sentences are those that OpenOCD
0.12.0 prints (its sources stlink_usb.c, libusb_helper.c, flash/startup.tcl).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

#: DEV_ID of the chip that is there, unless the behaviour says another: the STM32F746's.
CHIP = 0x449


def say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def main(arguments: list[str]) -> int:
    folder = Path(os.environ["FAKE_OPENOCD"])
    with (folder / "calls").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    behaviours = (folder / "behaviours").read_text().split()
    behaviour = behaviours[min(len((folder / "calls").read_text().splitlines()), len(behaviours)) - 1]
    say("Open On-Chip Debugger 0.12.0", "Licensed under GNU GPL v2", "For bug reports, read")
    say("\thttp://openocd.org/doc/doxygen/bugs.html", "Info : clock speed 2000 kHz")
    early = {
        "absent": ("Error: open failed",),
        "forbidden": ("Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "Error: open failed"),
        "busy": ("Error: libusb_open() failed with LIBUSB_ERROR_BUSY", "Error: open failed"),
        "unpowered": (
            "Info : STLINK V2J37M26 (API v2) VID:PID 0483:374B",
            "Info : Target voltage: 0.002349",
            "Error: target voltage may be too low for reliable debugging",
            "Error: init mode failed (unable to connect to the target)",
        ),
        "silent": (
            "Info : STLINK V2J37M26 (API v2) VID:PID 0483:374B",
            "Info : Target voltage: 3.247800",
            "Error: init mode failed (unable to connect to the target)",
        ),
    }
    if behaviour in early:
        say(*early[behaviour], "in procedure 'danas_demand_chip'")
        return 1
    say("Info : STLINK V2J37M26 (API v2) VID:PID 0483:374B", "Info : Target voltage: 3.247800")
    chip = int(behaviour, 16) if behaviour.startswith("0x") else CHIP
    commands = [arguments[number + 1] for number, one in enumerate(arguments) if one == "-c"]
    for command in commands:
        asked = re.fullmatch(r"danas_demand_chip (0x[0-9a-f]+) (0x[0-9a-f]+)", command)
        if asked and int(asked[2], 16) != chip:
            say(f"** danas: chip 0x{chip:03x}, wanted 0x{int(asked[2], 16):03x} **")
            say("demand_chip.tcl:14: Error: another chip than the program is for", "in procedure 'danas_demand_chip'")
            return 1
        program = re.fullmatch(r"program \{(.*)\} verify reset; shutdown;?", command)
        if program:
            say("** Programming Started **", "Info : device id = 0x10016449", "** Programming Finished **")
            say("** Verify Started **")
            if behaviour == "worn":
                say("Error: checksum mismatch - attempting binary compare", "** Verify Failed **")
                return 1
            (folder / "flash").write_bytes(Path(program[1]).read_bytes())
            say("** Verified OK **", "** Resetting Target **", "shutdown command invoked")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
