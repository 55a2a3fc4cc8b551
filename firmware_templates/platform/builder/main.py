# SPDX-License-Identifier: MIT
"""SCons build of the local platform: which programs to call, and the targets. Flags come from platformio.ini alone."""

from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
env.Replace(
    AR="arm-none-eabi-gcc-ar",
    AS="arm-none-eabi-as",
    CC="arm-none-eabi-gcc",
    CXX="arm-none-eabi-g++",
    LINK="arm-none-eabi-g++",
    OBJCOPY="arm-none-eabi-objcopy",
    RANLIB="arm-none-eabi-gcc-ranlib",
    SIZETOOL="arm-none-eabi-size",
    SIZEPRINTCMD="$SIZETOOL -A -d $SOURCES",
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
)
env.Append(
    LIBS=["c", "m", "gcc"],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET"),
            suffix=".bin",
        )
    },
)

if "nobuild" in COMMAND_LINE_TARGETS:
    program = str(Path("$BUILD_DIR") / "${PROGNAME}.elf")
    image = str(Path("$BUILD_DIR") / "${PROGNAME}.bin")
else:
    program = env.BuildProgram()
    image = env.ElfToBin(str(Path("$BUILD_DIR") / "${PROGNAME}"), program)

AlwaysBuild(env.Alias("nobuild", image))
build = env.Alias("buildprog", image, image)
AlwaysBuild(env.Alias("size", program, env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE")))

# Debian's OpenOCD. UPLOADERFLAGS is filled by bare_metal.py, for this platform and for stock ones alike.
env.Replace(
    UPLOADER="openocd",
    UPLOADERFLAGS=[
        "-f",
        "board/{}.cfg".format(env.GetProjectOption("custom_openocd_board", "")),
        "-c",
        "program {$SOURCE} verify reset; shutdown",
    ],
    UPLOADCMD="$UPLOADER $UPLOADERFLAGS",
)
AlwaysBuild(env.Alias("upload", program, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]))

Default([build])
