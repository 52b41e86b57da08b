"""Gives compiler, assembler and linker the same machine flags (PlatformIO `pre:` script).

PlatformIO's build_flags do not reach the linker, and all frameworks of ststm32 default to soft float: without
this the link fails with "uses VFP register arguments". The flags are custom_machine_flags in platformio.ini.
C++ (an engine's library and its glue) gets custom_cxx_flags, which C must not see.
"""

Import("env")

flags = env.GetProjectOption("custom_machine_flags").split()
env.Append(ASFLAGS=flags, CCFLAGS=flags, LINKFLAGS=flags)
env.Append(CXXFLAGS=env.GetProjectOption("custom_cxx_flags", "").split())
env.Append(LINKFLAGS=env.GetProjectOption("custom_link_flags", "").split())
