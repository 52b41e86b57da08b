"""Row kernels in Thumb-2 with DSP instructions, written layer by layer.

Register use inside a multiplication: r0 weights, r1-r3 weights, r12 and lr one step of both pixels (LDRD from the
patch, which lies at the stack pointer), r4-r11 eight accumulators: 4 slots x 2 pixels. No register is left over, so
everything else lives behind the patch in the frame, as a copy of sf_fused_call_t.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from semflash_codegen.fused.convolution import BYTES, MAX, ConvTables
from semflash_codegen.fused.requantise import CheapForm
from semflash_codegen.fused.tables import Gather

#: accumulators by slot: (even pixel, odd pixel)
ACC = (("r4", "r6"), ("r5", "r7"), ("r8", "r10"), ("r9", "r11"))
#: the same in the order of their memory words
SUMS = "r4-r11"
_UNROLL_STEPS = 30
_STATEMENT_LINES = 60
_GATHER_LOOP_WORDS = 16


def kernel_name(name: str, mode: str) -> str:
    return f"{name}_{'kernel' if mode != 'finish' else 'finish'}"


_CALL = ("weights", "end", "out0", "out1", "sums", "pairs", "delta", "step", "out_step", "rows")
_STRIP_CALL = ("weights", "end", "weights2", "end2", "sums", "pairs", "delta", "rows")


@dataclass
class Body:
    """Lines of one function and its frame: patches, then the call's fields, then `extra` words."""

    patch_bytes: int
    rows: int
    fields: tuple[str, ...] = _CALL
    extra: int = 0
    gather: Gather | None = None
    """Set where both pixels' rows are kept as pairs of pointers, see :func:`_gather`."""
    lines: list[str] = field(default_factory=list)

    def __call__(self, *lines: str) -> None:
        self.lines += lines

    def offset(self, name: str, index: int = 0) -> int:
        """Where a field of the call lies in the frame; "extra" is behind all fields."""
        rows = self.rows * (1 if self.gather is None else 2)
        at = len(self.fields) - 1 + rows if name == "extra" else self.fields.index(name)
        return self.patch_bytes + 4 * (at + index)

    def at(self, name: str, index: int = 0) -> str:
        """The same as an operand."""
        return f"[sp, #{self.offset(name, index)}]"

    @property
    def frame(self) -> int:
        return -(-(self.offset("extra") + 4 * self.extra) // 8) * 8

    def enter(self) -> None:
        self("push {r4-r11, lr}", f"sub sp, sp, #{self.frame}", f"add r12, sp, #{self.patch_bytes}")
        for count in (len(self.fields) - 1, 0 if self.gather is not None else self.rows):
            if count:
                registers = "{" + ", ".join(f"r{1 + i}" for i in range(count)) + "}"
                self(f"ldmia r0!, {registers}", f"stmia r12!, {registers}")

    def pair_rows(self) -> None:
        """Behind `enter`: both pixels' pointers to every row, moved to what the gathering reads last."""
        assert self.gather is not None
        self(f"ldr r4, {self.at('delta')}")
        for _ in range(self.rows):
            self(
                "ldr r1, [r0], #4",
                *_add("r1", self.gather.last, "r3"),
                "add r2, r1, r4",
                "stmia r12!, {r1, r2}",
            )

    def leave(self) -> None:
        self(f"add sp, sp, #{self.frame}", "pop {r4-r11, pc}")


def kernels(tables: ConvTables, name: str, *, joined: bool) -> str:
    """The functions of one convolution, between the preprocessor lines that select them. joined: in a strip."""
    functions = []
    if not joined:
        lines = whole(tables) if tables.mode == "whole" else accumulate(tables)
        functions.append(_function(kernel_name(name, tables.mode), lines))
    if tables.mode != "whole" and tables.form is not None:
        functions.append(_function(kernel_name(name, "finish"), finish(tables)))
    return "#if SF_FUSED_ASSEMBLY\n" + "\n".join(functions) + "#endif\n" if functions else ""


def whole(tables: ConvTables) -> list[str]:
    """Gather a patch, then for every group multiply, requantise and store; pair after pair of pixels."""
    assert tables.form is not None
    gather, groups = tables.gather, tables.group_count
    unroll = _unroll(groups, gather.steps)
    body = Body(8 * gather.steps, gather.rows, gather=gather)
    body.enter()
    body.pair_rows()
    body("1:")
    step = 2 * tables.layer.window.stride[1] * tables.layer.source.channels
    _gather(body, gather, step, tables.form.gain)
    body(f"ldr r0, {body.at('weights')}")
    body("2:")
    single = unroll == 1 and tables.store == BYTES and tables.layer.output.width % 2 == 1
    for index in range(unroll):
        body("ldmia r0!, {r4, r5, r8, r9}")
        if single:
            body(f"ldr r1, {body.at('delta')}", "cmp r1, #0", "beq.w 8f")
        _multiply(body, gather.steps, tables.small, start=True)
        body("7:")
        _requantise(body, tables.form, tables.small)
        _pack(body, tables.form, patch_out=False)
        _store(body, tables.store, index, unroll, looping=unroll < groups)
    if unroll < groups:
        body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    _next_pair(body, tables.store, 0 if unroll < groups else 4 * groups)
    body.leave()
    if single:
        body("8:")
        _multiply_single(body, gather.steps, tables.small)
        body("mov r6, r4", "mov r7, r5", "mov r10, r8", "mov r11, r9", "b.w 7b")
    return body.lines


def strip_kernel(first: ConvTables, second: ConvTables, name: str) -> str:
    """Both convolutions of a strip in one function, between the preprocessor lines that select it."""
    function = _function(f"{name}_kernel", strip(first, second), "sf_fused_strip_call_t", "sf_fused_strip_t")
    return f"#if SF_FUSED_ASSEMBLY\n{function}#endif\n"


def strip(first: ConvTables, second: ConvTables) -> list[str]:
    """Pixels of the first convolution go as 16-bit pairs to a patch of the second, which adds them up at once."""
    assert first.form is not None
    gather, groups = first.gather, first.group_count
    column = first.layer.window.stride[1] * first.layer.source.channels
    columns = second.layer.window.kernel[1]
    base = 8 * gather.steps
    body = Body(base + 8 * second.gather.steps, gather.rows, _STRIP_CALL, extra=1, gather=gather)
    unroll = _unroll(groups, gather.steps)
    body.enter()
    body.pair_rows()
    body("1:", f"add r4, sp, #{base}", f"str r4, {body.at('extra')}", "2:")
    _gather(body, gather, column, first.form.gain)
    body(f"ldr r0, {body.at('weights')}", "3:")
    for _ in range(unroll):
        body("ldmia r0!, {r4, r5, r8, r9}")
        _multiply(body, gather.steps, first.small, start=True)
        _requantise(body, first.form, first.small)
        _pack(body, first.form, patch_out=True)
        body(f"ldr lr, {body.at('extra')}", "stmia lr!, {r4, r6, r8, r10}", f"str lr, {body.at('extra')}")
    if unroll < groups:
        body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 3b")
    body(f"add r3, sp, #{base + 16 * groups * columns}", "cmp lr, r3", "bne.w 2b")
    for row in range(gather.rows):  # the next block begins where the odd pixel stands now
        body(f"ldr r1, {body.at('rows', 2 * row + 1)}", *_add_to("r2", "r1", columns * column))
        body(f"strd r1, r2, {body.at('rows', 2 * row)}")
    body(f"ldr r0, {body.at('weights2')}")
    _add_groups(body, second, base, "4", "end2")
    _count_pairs(body)
    body.leave()
    return body.lines


def _unroll(groups: int, steps: int) -> int:
    return max(u for u in range(1, groups + 1) if groups % u == 0 and (u == 1 or u * steps <= _UNROLL_STEPS))


def _add_groups(body: Body, tables: ConvTables, base: int, label: str, end: str) -> None:
    """All groups: accumulators from memory, plus the patch at `base`, and back."""
    body(f"{label}:", f"ldr lr, {body.at('sums')}", f"ldmia lr, {{{SUMS}}}")
    _multiply(body, tables.gather.steps, tables.small, start=False, base=base)
    body(f"ldr lr, {body.at('sums')}", f"stmia lr!, {{{SUMS}}}", f"str lr, {body.at('sums')}")
    body(f"ldr r1, {body.at(end)}", "cmp r0, r1", f"bne.w {label}b")


def accumulate(tables: ConvTables) -> list[str]:
    """Add one chunk to the accumulators in memory, for all groups."""
    gather = tables.gather
    body = Body(8 * gather.steps, 1)
    body.enter()
    body("1:")
    _gather_words(body, gather.words)
    body(f"ldr r0, {body.at('rows')}", f"ldr r1, {body.at('step')}", "add r0, r0, r1")
    body(f"str r0, {body.at('rows')}", f"ldr r0, {body.at('weights')}")
    _add_groups(body, tables, 0, "2", "end")
    _count_pairs(body)
    body.leave()
    return body.lines


def finish(tables: ConvTables) -> list[str]:
    """Requantise accumulators from memory to bytes."""
    assert tables.form is not None
    body = Body(0, 0)
    body.enter()
    body("1:", f"ldr r0, {body.at('weights')}")
    body("2:", f"ldr lr, {body.at('sums')}", f"ldmia lr!, {{{SUMS}}}", f"str lr, {body.at('sums')}")
    _requantise(body, tables.form, tables.small)
    _pack(body, tables.form, patch_out=False)
    _store(body, BYTES, 0, 1, looping=True)
    body(f"ldr r3, {body.at('end')}", "cmp r0, r3", "bne.w 2b")
    _next_pair(body, BYTES, 0)
    body.leave()
    return body.lines


def _gather(body: Body, gather: Gather, step: int, gain: int) -> None:
    """Both pixels' bytes to the patch, two per word, interleaved; r10, r11 hold a single without its partner.

    The pointers of a row point to the word or byte that is read last, and are moved on by that very load.
    """
    singles = gather.rows * (0, 1, 2, 1)[gather.left]
    at = 8 * (gather.steps - (singles + 1) // 2)
    held = False
    body("mov r12, sp")
    if gain:
        mask = 0xFF << gain
        body(f"movw r8, #{mask}", f"movt r8, #{mask}")

    def single(even: str, odd: str) -> None:
        """`even`, `odd`: instructions with {} for the target."""
        nonlocal held, at
        if not held:
            body(even.format("r10"), odd.format("r11"))
        else:
            body(even.format("r4"), odd.format("r5"))
            body("pkhbt r10, r10, r4, lsl #16", "pkhbt r11, r11, r5, lsl #16", f"strd r10, r11, [sp, #{at}]")
            at += 8
        held = not held

    for row in range(gather.rows):
        body(f"ldrd r0, r1, {body.at('rows', 2 * row)}")
        even, odd = _Reader("r0", gather.last, step), _Reader("r1", gather.last, step)
        _words(body, gather.words, even, odd, gain)
        end = 4 * gather.words
        if gather.left == 1 and gain:
            body(even.load("ldrb", "r2", end), odd.load("ldrb", "r3", end))
            single(f"lsl {{}}, r2, #{gain}", f"lsl {{}}, r3, #{gain}")
        elif gather.left == 1:
            single(even.load("ldrb", "{}", end), odd.load("ldrb", "{}", end))
        elif gather.left == 2:
            body(even.load("ldrh", "r2", end), odd.load("ldrh", "r3", end))
            single(_spread("{}", "r2", 0, gain), _spread("{}", "r3", 0, gain))
            single(_spread("{}", "r2", 8, gain), _spread("{}", "r3", 8, gain))
        elif gather.left == 3:
            body(even.load("ldr", "r2", end), odd.load("ldr", "r3", end))
            body(_spread("r4", "r2", 0, gain), _spread("r5", "r3", 0, gain), "stmia r12!, {r4, r5}")
            single(_spread("{}", "r2", 8, gain), _spread("{}", "r3", 8, gain))
        if step > 255:
            body(*_add("r0", step, "r2"), *_add("r1", step, "r2"))
        body(f"strd r0, r1, {body.at('rows', 2 * row)}")
    if held:
        body(f"strd r10, r11, [sp, #{at}]")


@dataclass(frozen=True)
class _Reader:
    """Loads relative to a pointer that points to offset `last`; that one moves it by `step` if it fits."""

    register: str
    last: int
    step: int

    def load(self, operation: str, target: str, at: int) -> str:
        if at == self.last and self.step <= 255:
            return f"{operation} {target}, [{self.register}], #{self.step}"
        return f"{operation} {target}, [{self.register}, #{at - self.last}]"


def _add_to(target: str, register: str, value: int) -> list[str]:
    if value < 4096:
        return [f"addw {target}, {register}, #{value}"]
    return [f"movw {target}, #{value}", f"add {target}, {target}, {register}"]


def _add(register: str, value: int, free: str) -> list[str]:
    if value == 0:
        return []
    if value < 4096:
        return [f"addw {register}, {register}, #{value}"]
    return [f"movw {free}, #{value}", f"add {register}, {register}, {free}"]


def _spread(target: str, source: str, rotation: int, gain: int) -> str:
    """Bytes 0 and 2 (rotation 0) or 1 and 3 (8) as halfwords, times 2^gain; r8 holds the mask where there is one."""
    if not gain:
        return f"uxtb16 {target}, {source}" + (f", ror #{rotation}" if rotation else "")
    shift = f"lsl #{gain}" if rotation == 0 else f"lsr #{rotation - gain}"
    return f"and {target}, r8, {source}, {shift}"


def _spread_two(gain: int) -> list[str]:
    """Two words of both pixels, in r6, r7, r9 and lr, to r2-r7, r9 and lr in the order of the patch."""
    plan = (("r2", "r6", 0), ("r3", "r7", 0), ("r4", "r6", 8), ("r5", "r7", 8),
            ("r6", "r9", 0), ("r7", "lr", 0), ("r9", "r9", 8), ("lr", "lr", 8))  # fmt: skip
    return [
        *(_spread(to, source, rotation, gain) for to, source, rotation in plan),
        "stmia r12!, {r2-r7, r9, lr}",
    ]


def _spread_one(gain: int) -> list[str]:
    """One word of both pixels, in r2 and r3."""
    plan = (("r4", "r2", 0), ("r5", "r3", 0), ("r6", "r2", 8), ("r7", "r3", 8))
    return [*(_spread(to, source, rotation, gain) for to, source, rotation in plan), "stmia r12!, {r4-r7}"]


def _words(body: Body, count: int, even: _Reader, odd: _Reader, gain: int = 0) -> None:
    """Unpack `count` words of both pixels to r12; r8, r10 and r11 stay."""
    for at in range(0, 4 * (count - count % 2), 8):
        body(even.load("ldr", "r6", at), odd.load("ldr", "r7", at))
        body(even.load("ldr", "r9", at + 4), odd.load("ldr", "lr", at + 4), *_spread_two(gain))
    if count % 2:
        at = 4 * count - 4
        body(even.load("ldr", "r2", at), odd.load("ldr", "r3", at), *_spread_one(gain))


def _gather_words(body: Body, count: int) -> None:
    """One run of whole words of both pixels, in a loop over two words where it is long."""
    body(f"ldr r0, {body.at('rows')}", f"ldr r8, {body.at('delta')}", "mov r12, sp", "add r1, r0, r8")
    if count <= _GATHER_LOOP_WORDS:
        _words(body, count, _Reader("r0", 0, 256), _Reader("r1", 0, 256))
        return
    if count % 2:
        body("ldr r2, [r0], #4", "ldr r3, [r1], #4", *_spread_one(0))
    body(f"add r8, r0, #{4 * (count - count % 2)}", "3:")
    body("ldr r6, [r0], #4", "ldr r7, [r1], #4", "ldr r9, [r0], #4", "ldr lr, [r1], #4", *_spread_two(0))
    body("cmp r0, r8", "bne 3b")


def _multiply(body: Body, steps: int, small: bool, *, start: bool, base: int = 0) -> None:
    """All steps of the patch into the accumulators. start: r4, r5, r8, r9 hold the bias of both pixels."""

    def both(slot: int, weight: str, first: bool) -> None:
        even, odd = ACC[slot]
        if first:  # the odd pixel starts from the same bias
            body(f"smlad {odd}, lr, {weight}, {even}", f"smlad {even}, r12, {weight}, {even}")
        else:
            body(f"smlad {even}, r12, {weight}, {even}", f"smlad {odd}, lr, {weight}, {odd}")

    queue: list[str] = []
    left = 4 * steps
    for step in range(steps):
        load = f"ldrd r12, lr, [sp, #{base + 8 * step}]"
        first = start and step == 0
        if small:
            body("ldmia r0!, {r1, r2}", load)
            for word, slots in (("r1", (0, 1)), ("r2", (2, 3))):
                body(f"sxtb16 r3, {word}")
                both(slots[0], "r3", first)
                body(f"sxtb16 {word}, {word}, ror #8")
                both(slots[1], word, first)
            continue
        for slot in range(4):
            if not queue:
                queue = ["r1", "r2", "r3"][: min(3, left)]
                left -= len(queue)
                body("ldmia r0!, {" + ", ".join(queue) + "}")
            if slot == 0:
                body(load)
            both(slot, queue.pop(0), first)


def _multiply_single(body: Body, steps: int, small: bool) -> None:
    """All steps of the even pixel alone: the last column of an odd width."""
    for step in range(steps):
        body(f"ldr lr, [sp, #{8 * step}]")
        if small:
            body("ldmia r0!, {r1, r2}", "sxtb16 r3, r1", "sxtb16 r1, r1, ror #8", "sxtb16 r12, r2")
            body("sxtb16 r2, r2, ror #8")
            weights = ("r3", "r1", "r12", "r2")
        else:
            body("ldmia r0!, {r1, r2, r3, r12}")
            weights = ("r1", "r2", "r3", "r12")
        body(*(f"smlad {ACC[slot][0]}, lr, {weight}, {ACC[slot][0]}" for slot, weight in enumerate(weights)))


def _requantise(body: Body, form: CheapForm, small: bool) -> None:
    """Accumulators to values scaled by 2^S; r1-r3, r12 and lr are free."""
    if not form.signed and not small:
        for slots in ((0, 1), (2, 3)):
            body("ldmia r0!, {r1, r2, r3, r12}")
            for slot, (m, b) in zip(slots, (("r1", "r2"), ("r3", "r12")), strict=True):
                body(*(f"smmla {acc}, {acc}, {m}, {b}" for acc in ACC[slot]))
        return
    shift, mask = ("r12" if form.signed else "r3"), "r3"
    registers = ["r1", "r2", *([mask] if form.signed else []), *([shift] if small else [])]
    temporary = "lr"
    for slot in range(4):
        body("ldmia r0!, {" + ", ".join(registers) + "}")
        for acc in ACC[slot]:
            if small:
                body(f"lsl {acc}, {acc}, {shift}")
            if form.signed:
                body(f"and {temporary}, {mask}, {acc}, asr #31")
            body(f"smmla {acc}, {acc}, r1, r2")
            if form.signed:
                body(f"sub {acc}, {acc}, {temporary}")


def _pack(body: Body, form: CheapForm, patch_out: bool) -> None:
    """To bytes 0..255: r4 and r6 one word per pixel, or (patch_out) 16-bit pairs in r4, r6, r8, r10."""
    pairs = (("r4", "r5"), ("r6", "r7"), ("r8", "r9"), ("r10", "r11"))
    for a, b in pairs:
        if form.packed:
            body(f"pkhtb {a}, {b}, {a}, asr #16", f"usat16 {a}, #8, {a}")
        else:
            body(f"usat {a}, #8, {a}, asr #{form.s}", f"usat {b}, #8, {b}, asr #{form.s}")
            body(f"orr {a}, {a}, {b}, lsl #16")
    if patch_out:
        _clamp(body, form, [a for a, _ in pairs], pairs=True)
        return
    body("orr r4, r4, r8, lsl #8", "orr r6, r6, r10, lsl #8")
    _clamp(body, form, ["r4", "r6"], pairs=False)


def _clamp(body: Body, form: CheapForm, values: list[str], *, pairs: bool) -> None:
    """Bounds of the activation other than 0 and 255, by saturating adds; r1 is free."""
    bits = 16 if pairs else 8
    spread = 0x00010001 if pairs else 0x01010101
    if form.low > 0:
        body(f"mov r1, #0x{form.low * spread:08x}")
        body(*(f"uqsub{bits} {v}, {v}, r1" for v in values), *(f"add {v}, {v}, r1" for v in values))
    if form.high < 255:
        top = form.high * spread
        body(f"mvn r1, #0x{top:08x}" if form.high else "mov r1, #0xffffffff")
        body(*(f"uqadd{bits} {v}, {v}, r1" for v in values), *(f"sub {v}, {v}, r1" for v in values))


def _store(body: Body, store: str, index: int, unroll: int, *, looping: bool) -> None:
    """r4 and r6 to their pixels, or the larger of both and of what is there to one (MAX). r1, r2 keep the places."""
    last = index == unroll - 1
    if store == MAX:
        body(f"ldr r1, {body.at('out0')}", "usub8 r2, r4, r6", "sel r4, r4, r6")
        body(
            f"ldr r3, [r1, #-{4 * index}]",
            "usub8 r2, r4, r3",
            "sel r4, r4, r3",
            f"str r4, [r1, #-{4 * index}]",
        )
        if looping and last:
            body(f"sub r1, r1, #{4 * unroll}", f"str r1, {body.at('out0')}")
        return
    body(f"ldrd r1, r2, {body.at('out0')}")
    if unroll == 1 and looping:
        body("str r4, [r1], #-4", "str r6, [r2], #-4", f"strd r1, r2, {body.at('out0')}")
        return
    body(f"str r4, [r1, #-{4 * index}]", f"str r6, [r2, #-{4 * index}]")
    if looping and last:
        body(f"sub r1, r1, #{4 * unroll}", f"sub r2, r2, #{4 * unroll}", f"strd r1, r2, {body.at('out0')}")


def _next_pair(body: Body, store: str, not_yet: int) -> None:
    """Outputs of the next pair; r1, r2 still hold the places. not_yet: bytes that no store subtracted."""
    body(f"ldr r3, {body.at('out_step')}")
    if not_yet:
        body(f"sub r3, r3, #{not_yet}")
    if store == MAX:
        body("add r1, r1, r3", f"str r1, {body.at('out0')}")
    else:
        body("add r1, r1, r3", "add r2, r2, r3", f"strd r1, r2, {body.at('out0')}")
    _count_pairs(body)


def _count_pairs(body: Body) -> None:
    body(f"ldr r1, {body.at('pairs')}", "subs r1, r1, #1", f"str r1, {body.at('pairs')}", "bne.w 1b")


def _function(
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
