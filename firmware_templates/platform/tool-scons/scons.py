# SPDX-License-Identifier: MIT
"""PlatformIO's build engine as PlatformIO calls it: ``python scons.py ARGUMENTS``. SCons is the one pip installed."""

import sys

from SCons.Script.Main import main

if __name__ == "__main__":
    sys.exit(main())
