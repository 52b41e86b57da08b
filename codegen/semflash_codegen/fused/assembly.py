"""Row kernels in Thumb-2 with DSP instructions, written layer by layer."""

from __future__ import annotations

from semflash_codegen.fused.arithmetic import (
    count_pairs,
    multiply,
    multiply_single,
    next_pair,
    pack,
    requantise,
    store_pixels,
)
from semflash_codegen.fused.convolution import BYTES, ConvTables
from semflash_codegen.fused.frame import STRIP_CALL, SUMS, Body, add_to
from semflash_codegen.fused.gathering import (
    gather_adjacent,
    gather_looped,
    gather_one,
    gather_one_looped,
    gather_patch,
    gather_run,
)
from semflash_codegen.fused.quads import quads

#: Modes whose kernels give finished pixels.
FINISHED = ("whole", "rows", "quads")
#: Code of all groups that are written one after the other, int16 weights; so that it stays in the cache.
_UNROLLED_BYTES, _STEP_BYTES, _GROUP_BYTES = 700, 41, 130
_STATEMENT_LINES = 60


def kernel_name(name: str, mode: str) -> str:
    """C name of a generated function."""
    return f"{name}_{'kernel' if mode != 'finish' else 'finish'}"


def kernels(tables: ConvTables, name: str, *, joined: bool) -> str:
    """The functions of one convolution, between the preprocessor lines that select them. joined: in a
    strip."""
    functions = []
    if not joined:
        lines = {"whole": whole, "rows": rows, "quads": quads}.get(tables.mode, accumulate)(tables)
        functions.append(function_text(kernel_name(name, tables.mode), lines))
    if tables.mode not in FINISHED and tables.form is not None:
        functions.append(function_text(kernel_name(name, "finish"), finish(tables)))
    return "#if SF_FUSED_ASSEMBLY\n" + "\n".join(functions) + "#endif\n" if functions else ""


def whole(tables: ConvTables) -> list[str]:
    """Gather a patch, then for every group multiply, requantise and store; pair after pair of pixels."""
    assert tables.form is not None
    gather, groups, mixed = tables.gather, tables.group_count, tables.mixed
    unroll = 1 if mixed else _unroll(groups, gather.steps)
    body = Body(8 * tables.steps, gather.rows, gather=gather)
    body.enter()
    body.pair_rows(0 if mixed and not gather.left else gather.last)
    body("1:")
    _gather(body, tables)
    body(f"ldr r0, {body.at('weights')}", "2:")
    single = not mixed and unroll == 1 and tables.store == BYTES and tables.layer.output.width % 2 == 1
    for index in range(unroll):
        body("ldmia r0!, {r4, r5, r8, r9}")
        if single:
            body(f"ldr r1, {body.at('delta')}", "cmp r1, #0", "beq.w 8f")
        multiply(body, tables, start=True, at=body.base)
        body("7:")
        requantise(body, tables.form)
        pack(body, tables.form, patch_out=False)
        store_pixels(body, tables.store, index, unroll, looping=unroll < groups)
    if unroll < groups:
        body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    next_pair(body, tables.store, 0 if unroll < groups else 4 * groups)
    body.leave()
    if single:
        body("8:")
        multiply_single(body, gather.steps, body.base)
        body("mov r6, r4", "mov r7, r5", "mov r10, r8", "mov r11, r9", "b.w 7b")
    return body.lines


def _gather(body: Body, tables: ConvTables) -> None:
    """The patch of a pair of pixels, whichever way is shortest."""
    gather = tables.gather
    step = 2 * tables.layer.window.stride[1] * tables.layer.source.channels
    width = tables.out_width or tables.layer.output.width
    if tables.mixed and not gather.left:
        gather_looped(body, gather, step)
    elif gather.words == 0 and gather.left == 3 and step == 2 and width % 2 == 0:
        gather_adjacent(body, gather, tables.gain)
    else:
        gather_patch(body, gather, step, tables.gain)


def rows(tables: ConvTables) -> list[str]:
    """One run of bytes after the other: gather it, add it to all accumulators; then finish the pair.

    Weights come in the order of use: bias of all groups, [run][group][step], coefficients of all groups.
    Behind the call's fields: place among the runs, end of the run's weights, place among the accumulators.
    """
    assert tables.form is not None
    gather, mixed = tables.gather, tables.mixed
    runs, groups = tables.layer.window.kernel[0] * tables.chunks, tables.group_count
    step = 2 * tables.layer.window.stride[1] * tables.layer.source.channels
    body = Body(8 * tables.steps, runs, gather=gather, extra=3)
    place, ends, sums = body.at("extra"), body.at("extra", 1), body.at("extra", 2)
    single = not mixed and tables.layer.output.width % 2 == 1
    body.enter()
    body.pair_rows(0 if mixed else gather.last)
    body(
        "1:", f"ldr r0, {body.at('weights')}", f"ldr lr, {body.at('sums')}", *add_to("r12", "r0", 16 * groups)
    )
    body("5:", "ldmia r0!, {r4, r5, r8, r9}", *(2 * ["stmia lr!, {r4, r5}"]), *(2 * ["stmia lr!, {r8, r9}"]))
    body("cmp r0, r12", "bne 5b", f"str r0, {ends}")
    body(f"add r2, sp, #{body.offset('rows')}", f"str r2, {place}", "2:")
    if mixed:
        gather_one_looped(body, gather, step, place)
    else:
        gather_one(body, gather, step, tables.gain, place)
    body(f"ldr r0, {ends}", *add_to("r1", "r0", 4 * tables.chunk_words), f"str r1, {ends}")
    body(f"ldr lr, {body.at('sums')}", f"str lr, {sums}")
    if single:
        body(f"ldr r1, {body.at('delta')}", "cmp r1, #0", "beq.w 8f")
    body("3:", f"ldr lr, {sums}", f"ldmia lr, {{{SUMS}}}")
    multiply(body, tables, start=False, at=body.base)
    body(f"ldr lr, {sums}", f"stmia lr!, {{{SUMS}}}", f"str lr, {sums}")
    body(f"ldr r1, {ends}", "cmp r0, r1", "bne.w 3b")
    body("7:", f"ldr r2, {place}", f"add r3, sp, #{body.offset('rows') + 8 * runs}", "cmp r2, r3", "bne.w 2b")
    body(f"ldr lr, {body.at('sums')}", f"str lr, {sums}")
    body("4:", f"ldr lr, {sums}", f"ldmia lr!, {{{SUMS}}}", f"str lr, {sums}")
    requantise(body, tables.form)
    pack(body, tables.form, patch_out=False)
    store_pixels(body, BYTES, 0, 1, looping=True)
    body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 4b")
    next_pair(body, BYTES, 0)
    body.leave()
    if single:  # the odd pixel is stored last, at the same place
        body("8:", f"ldr lr, {sums}", f"ldmia lr, {{{SUMS}}}")
        multiply_single(body, gather.steps, body.base, pixel=1)
        body(f"ldr lr, {sums}", f"stmia lr!, {{{SUMS}}}", f"str lr, {sums}")
        body(f"ldr r1, {ends}", "cmp r0, r1", "bne.w 8b", "b.w 7b")
    return body.lines


def strip_kernel(first: ConvTables, second: ConvTables, name: str) -> str:
    """Both convolutions of a strip in one function, between the preprocessor lines that select it."""
    function = function_text(
        f"{name}_kernel", strip(first, second), "sf_fused_strip_call_t", "sf_fused_strip_t"
    )
    return f"#if SF_FUSED_ASSEMBLY\n{function}#endif\n"


def strip(first: ConvTables, second: ConvTables) -> list[str]:
    """Pixels of the first convolution go as 16-bit pairs to a patch of the second, which adds them up at
    once."""
    assert first.form is not None
    gather, groups = first.gather, first.group_count
    column = first.layer.window.stride[1] * first.layer.source.channels
    columns = second.layer.window.kernel[1]
    body = Body(8 * (first.steps + second.steps), gather.rows, STRIP_CALL, extra=1, gather=gather)
    base = body.base + 8 * first.steps
    unroll = 1 if first.mixed else _unroll(groups, gather.steps)
    body.enter()
    body.pair_rows(gather.last)
    body("1:", f"add r4, sp, #{base}", f"str r4, {body.at('extra')}", "2:")
    gather_patch(body, gather, column, first.gain)
    body(f"ldr r0, {body.at('weights')}", "3:")
    for _ in range(unroll):
        body("ldmia r0!, {r4, r5, r8, r9}")
        multiply(body, first, start=True, at=body.base)
        requantise(body, first.form)
        pack(body, first.form, patch_out=True)
        body(f"ldr lr, {body.at('extra')}", "stmia lr!, {r4, r6, r8, r10}", f"str lr, {body.at('extra')}")
    if unroll < groups:
        body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 3b")
    body(f"add r3, sp, #{base + 16 * groups * columns}", "cmp lr, r3", "bne.w 2b")
    for row in range(gather.rows):  # the next block begins where the odd pixel stands now
        body(f"ldr r1, {body.at('rows', 2 * row + 1)}", *add_to("r2", "r1", columns * column))
        body(f"strd r1, r2, {body.at('rows', 2 * row)}")
    body(f"ldr r0, {body.at('weights2')}")
    _add_groups(body, second, base, "4", "end2")
    count_pairs(body)
    body.leave()
    return body.lines


def _unroll(groups: int, steps: int) -> int:
    """Groups that are written one after the other, instead of in a loop."""
    most = max(1, _UNROLLED_BYTES // (_STEP_BYTES * steps + _GROUP_BYTES))
    return max(u for u in range(1, groups + 1) if groups % u == 0 and u <= most)


def _add_groups(body: Body, tables: ConvTables, base: int, label: str, end: str) -> None:
    """All groups: accumulators from memory, plus the patch at `base`, and back."""
    body(f"{label}:", f"ldr lr, {body.at('sums')}", f"ldmia lr, {{{SUMS}}}")
    multiply(body, tables, start=False, at=base)
    body(f"ldr lr, {body.at('sums')}", f"stmia lr!, {{{SUMS}}}", f"str lr, {body.at('sums')}")
    body(f"ldr r1, {body.at(end)}", "cmp r0, r1", f"bne.w {label}b")


def accumulate(tables: ConvTables) -> list[str]:
    """Add one chunk to the accumulators in memory, for all groups."""
    gather = tables.gather
    body = Body(8 * tables.steps, 1)
    body.enter()
    body("1:")
    gather_run(body, gather.words, *((4,) if tables.mixed else ()))
    body(f"ldr r0, {body.at('rows')}", f"ldr r1, {body.at('step')}", "add r0, r0, r1")
    body(f"str r0, {body.at('rows')}", f"ldr r0, {body.at('weights')}")
    _add_groups(body, tables, body.base, "2", "end")
    count_pairs(body)
    body.leave()
    return body.lines


def finish(tables: ConvTables) -> list[str]:
    """Requantise accumulators from memory to bytes."""
    assert tables.form is not None
    body = Body(0, 0)
    body.enter()
    body("1:", f"ldr r0, {body.at('weights')}")
    body("2:", f"ldr lr, {body.at('sums')}", f"ldmia lr!, {{{SUMS}}}", f"str lr, {body.at('sums')}")
    requantise(body, tables.form)
    pack(body, tables.form, patch_out=False)
    store_pixels(body, BYTES, 0, 1, looping=True)
    body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    next_pair(body, BYTES, 0)
    body.leave()
    return body.lines


def function_text(
    name: str, lines: list[str], call: str = "sf_fused_call_t", layer: str = "sf_fused_conv_t"
) -> str:
    """A naked function; its text in several statements, since ISO C limits the length of a string."""
    statements = []
    for at in range(0, len(lines), _STATEMENT_LINES):
        quoted = "\n".join(f'        "{line}\\n"' for line in lines[at : at + _STATEMENT_LINES])
        statements.append(f"    __asm__ volatile(\n{quoted});\n")
    return (
        f"__attribute__((naked, noinline)) static void {name}(\n"
        f"    __attribute__((unused)) const {call} *call,\n"
        f"    __attribute__((unused)) const {layer} *layer) {{\n" + "".join(statements) + "}\n"
    )
