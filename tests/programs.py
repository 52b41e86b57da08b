"""Small device programs for tests, one for each thing that a program can express."""

from __future__ import annotations

import msgspec
import numpy as np

from semflash.program.controls import Control
from semflash.program.layout import CountOf, Exactly, Head, Layout, OnesOf, Region, Rest
from semflash.program.patch_stages import FALL_MAX, FALL_SHIFT, Coder, Falls, Patches, Select
from semflash.program.program import Program
from semflash.program.quality import Ber, Snr
from semflash.program.stages import (
    GdnTail,
    Graph,
    Modulate,
    Modulation,
    Normalise,
    Order,
    Project,
    Projection,
    TableTail,
    Tail,
)
from semflash.program.tensors import Codes, Tensor, Values

PIXELS = Values(1.0 / 255.0, -128)


def table_tail(channels: int, levels: int, zero_point: int = 0, seed: int = 0) -> TableTail:
    """A table of random codes."""
    table = np.random.default_rng(seed).integers(0, levels, channels * 256)
    return TableTail(channels, levels, zero_point, [int(code) for code in table])


def gdn_tail(channels: int, levels: int, zero_point: int = 0, seed: int = 0) -> GdnTail:
    """Integers of a plausible size."""
    rng = np.random.default_rng(seed)
    return GdnTail(
        channels,
        levels,
        zero_point,
        beta=[int(v) for v in rng.integers(1 << 16, 1 << 26, channels)],
        gamma=[int(v) for v in rng.integers(0, 5000, channels * channels)],
        threshold=[
            int(v) for v in np.sort(rng.integers(-(1 << 25), 1 << 25, (channels, levels - 1))).ravel()
        ],
    )


def plain() -> Program:
    """One graph, one tail, one region: SemanticNN."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("codes", (4, 3, 5), Codes(8, tuple(float(i) for i in range(8)))),
        ),
        stages=(Graph("encoder", ("image",), ("latent",)), Tail("latent", "codes", (gdn_tail(5, 8, -3),))),
        payload=Layout((Region("codes", 3),)),
        quality=Ber(0.001, 0.06),
    )


def two_graphs() -> Program:
    """Two graphs over the image, each with its tail: AgileNN."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("scores", (1, 1, 10), Values(0.1, 4)),
            Tensor("local", (1, 1, 10), Codes(6, tuple(float(i) for i in range(6)), 0, 0.0)),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("remote", (4, 3, 5), Codes(8, tuple(float(i) for i in range(8)), 3)),
        ),
        stages=(
            Graph("head", ("image",), ("scores",)),
            Tail("scores", "local", (table_tail(10, 6, 4),)),
            Graph("encoder", ("image",), ("latent",)),
            Tail("latent", "remote", (table_tail(5, 8, -3, seed=1),)),
        ),
        payload=Layout((Region("local", 3), Region("remote", 3))),
        quality=Ber(0.0, 0.06),
    )


def progressive() -> Program:
    """A graph on another one's output, an order, and a payload that a control cuts anywhere: LimitNet."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("logits", (4, 3, 1), Values(0.1, 7)),
            Tensor("saliency", (4, 3, 1), Codes(8, (), 4)),
            Tensor("codes", (4, 3, 5), Codes(8, tuple(float(i) for i in range(8)), 0, 0.0)),
            Tensor("sorted", (60,), Codes(8, tuple(float(i) for i in range(8)), 0, 0.0)),
        ),
        stages=(
            Graph("encoder", ("image",), ("latent",)),
            Graph("attention", ("latent",), ("logits",)),
            Tail("logits", "saliency", (table_tail(1, 8, 7),)),
            Tail("latent", "codes", (table_tail(5, 8, -3, seed=1),)),
            Order("saliency", "codes", "sorted", step=22),
        ),
        payload=Layout((Region("saliency", 3, Rest("limit")), Region("sorted", 3, Rest("limit")))),
        quality=Ber(0.0, 0.06),
        controls=(Control("limit", 1, 0, 28, 28, "bytes"),),
    )


def patches() -> Program:
    """A graph that runs for each live patch, tables chosen by a control, a protected count and map."""
    centres = tuple(float(i) for i in range(4))
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("features", (6, 2, 4), Values(0.1, 0)),
            Tensor("choice", (6, 1), Values(0.1, 0)),
            Tensor("number", (1, 1, 1), Values(0.1, 0)),
            Tensor("map", (6, 1), Codes(3)),
            Tensor("count", (1, 1, 1), Codes(7)),
            Tensor("patches", (6, 2, 4), Values(0.1, 0), live="count"),
            Tensor("encoded", (6, 5), Values(0.1, 0), live="count"),
            Tensor("first", (6, 5), Codes(4, centres), live="count"),
            Tensor("second", (6, 2, 4), Codes(4, centres)),
        ),
        stages=(
            Graph("stem", ("image",), ("features", "choice", "number")),
            Tail("number", "count", (table_tail(1, 7),)),
            Tail("choice", "map", (table_tail(1, 3),)),
            Tail("features", "second", (table_tail(4, 4), table_tail(4, 4, seed=5)), chosen_by="state"),
            Graph("pick", ("features",), ("patches",), each=False),
            Graph("encode", ("patches",), ("encoded",), each=True),
            Tail("encoded", "first", (table_tail(5, 4),)),
        ),
        payload=Layout(
            (
                Region("count", 3, protection="repeat-3"),
                Region("map", 2, protection="hamming-7-4"),
                Region("first", 2, CountOf("count")),
                Region("second", 2, OnesOf("map", 2)),
            )
        ),
        quality=Snr(-6.0, 18.0),
        controls=(Control("state", 3, 0, 1, 0, "entry"),),
    )


def masked() -> Program:
    """Everything of the payload that a device does: a protected count and map, and the rows that they tell;
    GDN with two sets of integers, chosen by a control that holds for one image."""
    latent = Values(0.05, -3)
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("number", (1, 1, 1), Values(0.1, 0)),
            Tensor("count", (1, 1, 1), Codes(5)),
            Tensor("choice", (4, 1, 1), Values(0.1, 0)),
            Tensor("map", (4, 1, 1), Codes(3)),
            Tensor("latent", (4, 3, 5), latent),
            Tensor("fine", (4, 3, 5), Codes(16)),
            Tensor("rough", (4, 3, 5), Codes(3)),
        ),
        stages=(
            Graph("counter", ("image",), ("number",)),
            Tail("number", "count", (table_tail(1, 5, seed=2),)),
            Graph("chooser", ("image",), ("choice",)),
            Tail("choice", "map", (table_tail(1, 3, seed=3),)),
            Graph("encoder", ("image",), ("latent",)),
            Tail("latent", "fine", (gdn_tail(5, 16, -3), gdn_tail(5, 16, -3, seed=1)), chosen_by="state"),
            Tail("latent", "rough", (gdn_tail(5, 3, -3, seed=2),)),
        ),
        payload=Layout(
            (
                Region("count", 3, protection="hamming-7-4"),
                Region("map", 2, protection="repeat-3"),
                Region("fine", 4, OnesOf("map", 1), "hamming-7-4"),
                Region("rough", 2, CountOf("count"), "repeat-3"),
            )
        ),
        quality=Ber(0.0, 0.06),
        controls=(Control("state", 1, 0, 1, 0, "entry", sticky=False),),
    )


def projection(channels: int, outputs: int, seed: int = 0) -> Projection:
    """Integers of a plausible size: sums of some thousand come down to some dozen."""
    rng = np.random.default_rng([seed, channels, outputs])
    return Projection(
        weights=[int(v) for v in rng.integers(-127, 128, channels * outputs)],
        bias=[int(v) for v in rng.integers(-2000, 2000, outputs)],
        multiplier=[int(v) for v in rng.integers(1 << 30, 1 << 31, outputs)],
        shift=[int(v) for v in rng.integers(-8, -5, outputs)],
    )


def normalise(source: str, output: str, items: int) -> Normalise:
    """The gain of NORMAL."""
    return Normalise(source, output, round(256 * (items / 2) ** 0.5 / NORMAL.scale))


#: Clips at four times the deviation of a value of power 1/2.
NORMAL = Values(4 * 0.5**0.5 / 127, 0)


def symbols() -> Program:
    """A projection chosen by the channel's state, power normalisation, int8 values in the payload: TOSC."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("projected", (4, 3, 2), Values(0.03, 0)),
            Tensor("symbols", (4, 3, 2), NORMAL),
        ),
        stages=(
            Graph("encoder", ("image",), ("latent",)),
            Project("latent", "projected", tuple(projection(5, 2, n) for n in range(3)), "state"),
            normalise("projected", "symbols", 24),
        ),
        payload=Layout((Region("symbols", 8),)),
        quality=Snr(-6.0, 18.0),
        controls=(Control("state", 1, 0, 2, 1, "entry", follows=(-6.0, 3.0, 12.0)),),
    )


def projected() -> Program:
    """Tails behind a projection, behind another one on it and behind a normalisation; a graph behind it."""
    eight = Codes(8, tuple(float(i) for i in range(8)))
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("wide", (4, 3, 5), Values(0.05, -3)),
            Tensor("logits", (4, 3, 1), Values(0.1, 7)),
            Tensor("narrow", (4, 3, 2), Values(0.03, 11)),
            Tensor("normal", (4, 3, 2), NORMAL),
            Tensor("codes", (4, 3, 2), eight),
            Tensor("others", (4, 3, 2), eight),
            Tensor("whole", (4, 3, 5), Codes(16)),
        ),
        stages=(
            Graph("encoder", ("image",), ("latent",)),
            Project("latent", "wide", (projection(5, 5, 7),)),
            Graph("attention", ("wide",), ("logits",)),
            Project("wide", "narrow", (projection(5, 2, 8), projection(5, 2, 9)), "state"),
            Tail("narrow", "codes", (table_tail(2, 8, 11),)),
            normalise("narrow", "normal", 24),
            Tail("normal", "others", (gdn_tail(2, 8), gdn_tail(2, 8, seed=3)), "state"),
            Tail("wide", "whole", (gdn_tail(5, 16, -3),)),
        ),
        payload=Layout(
            (
                Region("codes", 3, protection="repeat-3"),
                Region("logits", 8),
                Region("others", 3),
                Region("whole", 4),
                Region("normal", 8, protection="hamming-7-4"),
            )
        ),
        quality=Ber(0.0, 0.06),
        controls=(Control("state", 1, 0, 1, 0, "entry", sticky=False),),
    )


def modulation(channels: int, seed: int = 0) -> Modulation:
    """Integers that keep values within a few times of what they were."""
    rng = np.random.default_rng([seed, channels])
    shift = int(rng.integers(11, 16))
    return Modulation(
        multiplier=[int(v) for v in rng.integers(-(1 << 15), 1 << 15, channels)],
        offset=[int(v) for v in rng.integers(-(40 << shift), 40 << shift, channels)],
        shift=shift,
    )


def modulated() -> Program:
    """Channels scaled and shifted by the state before one projection, and again behind it."""
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("latent", (4, 3, 5), Values(0.05, -3)),
            Tensor("adapted", (4, 3, 5), Values(0.04, 9)),
            Tensor("projected", (4, 3, 2), Values(0.03, 0)),
            Tensor("again", (4, 3, 2), Values(0.03, -128)),
            Tensor("symbols", (4, 3, 2), NORMAL),
        ),
        stages=(
            Graph("encoder", ("image",), ("latent",)),
            Modulate("latent", "adapted", tuple(modulation(5, n) for n in range(3)), "state"),
            Project("adapted", "projected", (projection(5, 2),)),
            Modulate("projected", "again", (modulation(2, 7),)),
            normalise("again", "symbols", 24),
        ),
        payload=Layout((Region("symbols", 8), Region("adapted", 8))),
        quality=Snr(-6.0, 18.0),
        controls=(Control("state", 1, 0, 2, 1, "entry", follows=(-6.0, 3.0, 12.0)),),
    )


ALL = (plain, two_graphs, progressive, patches, masked, symbols, projected, modulated)


def run_graph(
    name: str, inputs: list[np.ndarray], shapes: dict[str, list[tuple[int, ...]]]
) -> list[np.ndarray]:
    """Some int8 function of the inputs, different for each model, with outputs of the given shapes."""
    flat = np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1).astype(np.int64)
    results = []
    for number, shape in enumerate(shapes[name]):
        size = int(np.prod(shape))
        weights = np.random.default_rng([number, *name.encode()]).integers(-9, 10, (flat.shape[1], size))
        results.append(((flat @ weights) % 256 - 128).astype(np.int8).reshape(len(flat), *shape))
    return results


def shapes_of(program: Program) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the outputs of each graph for one run of it."""
    return {
        graph.name: [program.tensor(name).shape[graph.each :] for name in graph.outputs]
        for graph in program.graphs
    }


def coder(bits: tuple[int, ...], values: int, seed: int) -> Coder:
    """Random weights, and thresholds in the range of their sums."""
    rng = np.random.default_rng(seed)
    reach = int(30 * 128 * np.sqrt(values))
    return Coder(
        bits=list(bits),
        weights=[int(v) for v in rng.integers(-128, 128, len(bits) * values)],
        thresholds=[int(v) for b in bits for v in np.sort(rng.integers(-reach, reach, (1 << b) - 1))],
    )


def centres_of(coder: Coder, scales: list[int], rng: np.random.Generator) -> list[int]:
    """Near the middles between thresholds."""
    found, at = [], 0
    for bits, scale in zip(coder.bits, scales, strict=True):
        steps = np.array(coder.thresholds[at : at + (1 << bits) - 1])
        ends = np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])
        middles = (ends[0] + ends[1]) / 2 * scale / (1 << FALL_SHIFT) + rng.integers(-30, 31, 1 << bits)
        found += [int(v) for v in np.clip(np.rint(middles), -FALL_MAX, FALL_MAX)]
        at += len(steps)
    return found


def made_falls(
    values: int, bits: tuple[tuple[int, ...], ...], picks: tuple[tuple[int, ...], ...], seed: int
) -> tuple[Falls, tuple[Coder, ...]]:
    """Random coders, the lower ones with rows of the last one, and falls of them."""
    rng = np.random.default_rng(seed)
    last = coder(bits[-1], values, seed)
    rows = np.array(last.weights).reshape(len(bits[-1]), values)
    coders = []
    for level, (own, which) in enumerate(zip(bits[:-1], picks[:-1], strict=True)):
        given = coder(own, values, seed + 1 + level)
        coders.append(Coder(given.bits, [int(v) for v in rows[list(which)].ravel()], given.thresholds))
    coders.append(last)
    scales = [int(v) for v in rng.integers(5_000, 65_536, len(bits[-1]))]
    centres = tuple(
        centres_of(each, [scales[pick] for pick in which], rng)
        for each, which in zip(coders, picks, strict=True)
    )
    return Falls(tuple(list(each) for each in picks), centres, scales), tuple(coders)


#: Bits of the coefficients of each level of :func:`detailed`.
DETAIL = ((3, 5), (4, 1, 1, 2, 6, 2), (6, 6, 5, 4, 3, 2, 1, 5))


def detailed(*, contrast: bool = True, protect: bool = False) -> Program:
    """Levels of detail by scores of a graph, as many as a rate allows: multi-resolution patches.

    Args:
        contrast: Whether the variance of a patch counts, too.
        protect: Whether a control protects the head; it is then the one with id 1, else that is the rate.
    """
    codes = tuple(f"codes-{level}" for level in (1, 2, 3))
    rate = Control("rate", 2 if protect else 1, 13 if protect else 5, 40, 30, "bytes")
    return Program(
        image="image",
        tensors=(
            Tensor("image", (8, 6, 1), PIXELS),
            Tensor("scores", (4, 3, 1), Values(0.05, 7)),
            Tensor("levels", (4, 3), Codes(4, tuple(float(i) for i in range(4)))),
            Tensor("background", (1,), Codes(16, tuple((16 * i + 7.5) / 255 for i in range(16)), 8)),
            *(
                Tensor(name, (12, sum(bits) // 8), Codes(256, tuple(float(i) for i in range(256)), 0, -1.0))
                for name, bits in zip(codes, DETAIL, strict=True)
            ),
        ),
        stages=(
            Graph("scorer", ("image",), ("scores",)),
            Select(
                "scores",
                "image",
                "levels",
                "background",
                side=2,
                table=[max(1, round(4096 * 0.97**distance)) for distance in range(256)],
                gains=(60_000, 20_000, 7_000),
                contrast=contrast,
                rate="rate",
            ),
            Patches(
                "image",
                "levels",
                side=2,
                outputs=codes,
                coders=tuple(coder(bits, 4, seed) for seed, bits in enumerate(DETAIL)),
            ),
        ),
        payload=Layout(
            tuple(Region(name, 8, Exactly("levels", level)) for level, name in enumerate(codes, 1)),
            head=Head("levels", ("background",), "protect" if protect else None),
        ),
        quality=Ber(0.0, 0.06),
        controls=(rate, *((Control("protect", 1, 0, 1, 0, "entry"),) if protect else ())),
    )


#: Coefficients of the last level that each level of :func:`by_falls` has.
PICKED = ((0, 5), (0, 1, 2, 3, 4, 5), tuple(range(8)))


def by_falls() -> Program:
    """The same, its head protected, with levels by what they leave and codes less the background."""
    program = detailed(contrast=False, protect=True)
    falls, coders = made_falls(4, DETAIL, PICKED, 3)
    graph, select, patches = program.stages
    assert isinstance(select, Select) and isinstance(patches, Patches)
    select = msgspec.structs.replace(select, gains=(1, 1, 1), falls=falls, absolute=True)
    patches = msgspec.structs.replace(patches, coders=coders, background="background")
    return msgspec.structs.replace(program, stages=(graph, select, patches))
