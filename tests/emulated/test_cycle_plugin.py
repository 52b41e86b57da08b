"""The plugin that counts cycles, on a firmware whose cycles are counted by hand from the core's manual."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from semflash.bench.cycles.estimate import CycleEstimate, read_estimate
from semflash.bench.cycles.flash import FlashModel
from semflash.bench.cycles.instructions import OBJDUMP
from semflash.bench.cycles.plan import plan_text
from semflash.bench.cycles.plugin import argument, plugin
from semflash.firmware.boards.descriptions import Flash
from semflash.processes import children

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in ("arm-none-eabi-gcc", OBJDUMP, "qemu-system-arm")),
        reason="apt-get install gcc-arm-none-eabi qemu-system-arm",
    ),
]

FLASH = Flash(0x8000000, 1 << 20)
#: No cache, and one wait state a line of 8 bytes: what is fetched can be counted by hand.
BARE = FlashModel("bare", 0, 8, 0, 8, 1, False)
LARGE = FlashModel("large", 256, 32, 256, 32, 5, False)
FIRMWARE = """
    .syntax unified
    .cpu cortex-m4
    .thumb
    .section .isr_vector, "a"
    .word 0x20010000, reset + 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, tick + 1
    .text
    .balign 8
    .type reset, %function
reset:
    ldr r0, =0xE000E010
    movs r1, #{reload}
    str r1, [r0, #4]
    str r1, [r0, #8]
    movs r1, #{control}
    str r1, [r0]
    bl begin
    bl body
    bl begin
    bl body
    movs r0, #0x18
    ldr r1, =0x20026
    bkpt 0xab
    b .
    .type tick, %function
tick:
    push {{r4, lr}}
    bl tock
    pop {{r4, pc}}
    .type tock, %function
tock:
    nop
    bx lr
    .ltorg
    .type begin, %function
    .balign 8
begin:
    bx lr
    .type inner, %function
    .balign 8
inner:
    mov.w r0, #20
    mov.w r1, #3
    udiv r0, r0, r1
    b.w 5f
    nop.w
5:  bx lr
    .type body, %function
    .balign 8
body:
{body}
    .type constant, %object
    .balign 8
constant:
    .word 1, 2, 3, 4
"""
SCRIPT = "SECTIONS { . = 0x8000000; .isr_vector : { *(.isr_vector) } .text : { *(.text*) } }"


def run(folder: Path, body: str, model: FlashModel, *, interrupted: bool = False) -> CycleEstimate:
    """The estimate of the second image; `body` is run once an image."""
    source, script, image = folder / "firmware.S", folder / "firmware.ld", folder / "firmware.elf"
    numbers = {"reload": 200, "control": 7 if interrupted else 0}
    source.write_text(FIRMWARE.format(body=body, **numbers), encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    options = ["-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-Wl,--no-warn-rwx-segments"]
    command = ["arm-none-eabi-gcc", *options, "-T", str(script), str(source), "-o", str(image)]
    subprocess.run(command, check=True)
    plan, out = folder / "plan", folder / "counts.json"
    plan.write_text(plan_text(image, FLASH, [model], begins="begin", counted=("body",)), encoding="utf-8")
    loaded = argument(plugin("qemu-system-arm"), plan, out)
    emulator = ["qemu-system-arm", "-M", "netduinoplus2", "-display", "none", "-monitor", "none"]
    emulator += ["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-serial", "null"]
    done = children.run([*emulator, "-plugin", loaded, "-kernel", str(image)], timeout_s=60)
    assert done.returncode == 0, done.stdout
    total, _ = read_estimate(out, [model])
    return total


def test_every_class_takes_what_the_manual_says(tmp_path: Path) -> None:
    lines = """
    push {r4-r7, lr}           @ 1 + 5
    ldr.w r0, =constant        @ 2
    ldr.w r1, [r0]             @ 1, behind a load
    ldr.w r2, [r0, #4]         @ 1
    smlad r3, r1, r2, r1       @ 1
    str.w r3, [sp, #-4]        @ 1
    ldmia.w r0!, {r4-r6}       @ 1 + 3
    ldr.w r4, [sp]             @ 2: an LDM overlaps with nothing
    ldrd r4, r5, [sp]          @ 1 + 2
    pop {r4-r7, pc}            @ 1 + 5, and the return refills
    .ltorg
"""
    total = run(tmp_path, lines, BARE)
    begin = (2, 1)  # bx lr with refill 1: cycles, instructions
    core = 6 + 2 + 1 + 1 + 1 + 1 + 4 + 2 + 3 + 6
    assert total.instructions == 10 + begin[1]
    assert (total.core_min, total.core, total.core_max) == (core + 1 + 2, core + 2 + 3, core + 3 + 4)


def test_calls_branches_and_divisions_are_ranges(tmp_path: Path) -> None:
    lines = """
    push {r4, lr}              @ 3
    bl inner                   @ 1 + P, and in it: 1 + 1 + divide + (1 + P) + (1 + P)
    cmp r0, r0                 @ 1
    bne.w 7f                   @ 1, not taken
7:  pop {r4, pc}               @ 3 + P
"""
    total = run(tmp_path, lines, BARE)
    for cycles, refill, divide in ((total.core_min, 1, 2), (total.core, 2, 7), (total.core_max, 3, 12)):
        assert cycles == (1 + refill) + 3 + (1 + refill) + 2 + divide + 2 * (1 + refill) + 2 + 3 + refill
    assert total.instructions == 1 + 5 + 5


def test_odd_places_cost_in_the_upper_bound_alone(tmp_path: Path) -> None:
    lines = """
    sub.w sp, sp, #8
    ldr.w r0, [sp, #1]         @ two more
    nop.w
    ldrh.w r0, [sp, #3]        @ one more
    nop.w
    ldr.w r0, [sp, #2]         @ one more
    add.w sp, sp, #8
    bx lr
"""
    total = run(tmp_path, lines, BARE)
    plain = 1 + 2 + 1 + 2 + 1 + 2 + 1
    assert total.core_min == plain + 2 + 2
    assert total.core_max == plain + 4 + 4 + 4


def test_a_flash_without_a_cache_waits_for_every_line_and_every_constant(tmp_path: Path) -> None:
    lines = """
    ldr.w r0, =constant        @ line 1: waits; the constant too
    ldr.w r1, [r0, #4]         @ waits for the constant
    ldr.w r1, [sp, #-8]        @ line 2: waits, memory does not
    nop.w
    nop.w                      @ line 3
    bx lr
    .balign 8
    .ltorg
"""
    total = run(tmp_path, lines, BARE)
    (stalls,) = total.flash
    assert stalls.fetch == 3 + 1  # and begin
    assert stalls.read == 2


def test_a_large_cache_keeps_what_the_first_image_brought(tmp_path: Path) -> None:
    lines = "\n".join(["    ldr.w r0, =constant", *["    nop.w"] * 40, "    bx lr", "    .ltorg"])
    total = run(tmp_path, lines, LARGE)
    assert [(one.fetch, one.read) for one in total.flash] == [(0, 0)]


def test_interrupts_leave_no_trace(tmp_path: Path) -> None:
    lines = """
    push {r4, lr}
    movw r4, #2000
9:  subs.w r4, r4, #1
    bl tock
    bne.w 9b
    pop {r4, pc}
"""
    (tmp_path / "still").mkdir()
    (tmp_path / "busy").mkdir()
    still = run(tmp_path / "still", lines, LARGE)
    busy = run(tmp_path / "busy", lines, LARGE, interrupted=True)
    assert still.instructions == 1 + 2 + 2000 * 5 + 1
    assert (busy.instructions, busy.core_min, busy.core_max) == (
        still.instructions,
        still.core_min,
        still.core_max,
    )
