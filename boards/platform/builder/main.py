"""Build script of the local platform: tools, flags, targets.

Flags that depend on the product (optimisation, FPU, linker script) are in platformio.ini, for all boards.
"""

from SCons.Script import AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()

env.Replace(
    AR="arm-none-eabi-gcc-ar",
    AS="arm-none-eabi-gcc",
    CC="arm-none-eabi-gcc",
    CXX="arm-none-eabi-g++",
    GDB="gdb-multiarch",
    OBJCOPY="arm-none-eabi-objcopy",
    RANLIB="arm-none-eabi-gcc-ranlib",
    SIZETOOL="arm-none-eabi-size",
    ARFLAGS=["rc"],
    SIZEPROGREGEXP=r"^(?:\.isr_vector|\.text|\.rodata|\.data|\.ARM\.exidx|\.init_array|\.fini_array)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.data|\.bss|\.noinit)\s+(\d+).*",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    PROGSUFFIX=".elf",
)
cpu = [f"-mcpu={board.get('build.cpu')}", "-mthumb"]
env.Append(
    ASFLAGS=cpu,
    ASPPFLAGS=["-x", "assembler-with-cpp"],
    CCFLAGS=[*cpu, "-ffunction-sections", "-fdata-sections", "-Wall"],
    CPPDEFINES=[("F_CPU", "$BOARD_F_CPU")],
    LINKFLAGS=[*cpu, "-Wl,--gc-sections", "--specs=nano.specs", "--specs=nosys.specs"],
    LIBS=["c", "m", "gcc"],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET"), suffix=".bin"
        ),
    },
)

elf = env.BuildProgram()
image = env.ElfToBin("$BUILD_DIR/${PROGNAME}", elf)
env.Depends(image, "checkprogsize")
AlwaysBuild(env.Alias("nobuild", image))
size = env.Alias("size", elf, env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"))
AlwaysBuild(size)

protocol = env.subst("$UPLOAD_PROTOCOL")
if protocol == "custom":
    upload = [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")]
else:
    # An unknown protocol must fail: stock platforms only warn and exit with 0.
    upload = [env.VerboseAction(f"echo upload_protocol {protocol} is not supported here >&2; exit 1", "")]
AlwaysBuild(env.Alias("upload", elf, upload))

Default([elf, image, size])
