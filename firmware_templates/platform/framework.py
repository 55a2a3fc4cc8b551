# SPDX-License-Identifier: MIT
"""Extra script of the environments with a framework: a link map is written beside the ELF."""

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
# Not -Wl, which would split the path at a comma; expanded here, so that a space stays inside one argument.
env.Append(LINKFLAGS=["-Xlinker", "-Map=" + env.subst("${BUILD_DIR}/${PROGNAME}.map")])
