"""A bare model on a board: values in, values out. It has no decoder and no labels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from semflash.bench.bench import bench_images, exchange
from semflash.bench.reference import golden_payloads, reference_name
from semflash.bundle.reader import Bundle
from semflash.errors import DatasetError, SemflashError
from semflash.firmware.building.result import BuildResult
from semflash.program.tensors import Tensor, Values

#: From the int8 code of a value to the byte that goes over the link, and to a uint8 code of the same number.
_OFFSET = 128
_FILE_BYTES_MAX = 256 << 20


class End(msgspec.Struct, frozen=True):
    """Input or output of the model: real = scale (q - zero_point), q int8 of this shape."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int


class Outcome(msgspec.Struct, frozen=True):
    """One input that went through.

    Attributes:
        index: Its number.
        values: The int8 output in the order of the tensor.
        count: What the device counted; None where it counts nothing.
        equal: Whether the reference gives the same; None where it was not asked.
    """

    index: int
    values: list[int]
    count: int | None
    equal: bool | None


class BareRun(msgspec.Struct, frozen=True):
    """What came out of a run.

    Attributes:
        counter: Unit of the counts: "instructions", "cycles" or "none".
        reference: What the outputs were compared with, "" where they were not.
    """

    board: str
    model: str
    build_id: str
    engine: str
    counter: str
    input: End
    output: End
    reference: str
    outcomes: list[Outcome]

    @property
    def wrong(self) -> int:
        """Outputs that differ from the reference's."""
        return sum(outcome.equal is False for outcome in self.outcomes)


def model_ends(bundle: Bundle) -> tuple[End, End]:
    """Input and output of a bare model."""
    (graph,) = bundle.program.graphs
    source, output = (bundle.program.tensor(name) for name in (*graph.inputs, *graph.outputs))
    return _end(source), _end(output)


def _end(tensor: Tensor) -> End:
    assert isinstance(tensor.holds, Values)  # of a bare model
    return End(tuple(tensor.shape), tensor.holds.scale, tensor.holds.zero_point)


def read_inputs(path: Path, end: End) -> NDArray[np.int8]:
    """Inputs int8 (N, *shape) of a .npy file (N, ...) or (...): int8 codes, uint8 codes, or real numbers.

    Raises:
        DatasetError: The file cannot be read, or has another shape or type.
    """
    values = _load(path)
    single, several = values.shape == end.shape, values.shape[1:] == end.shape and len(values) > 0
    if not single and not several:
        raise DatasetError(
            f"{path.name} does not hold inputs of the shape {end.shape}",
            value=values.shape,
            remedy=f"save an array (N, {', '.join(map(str, end.shape))})",
        )
    return _codes(values.reshape(-1, *end.shape), end, path)


def _load(path: Path) -> NDArray[np.generic]:
    """The array of a .npy file, never a pickle."""
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise ValueError(f"larger than {_FILE_BYTES_MAX:,} bytes")
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(
            "cannot read inputs", value=f"{path}: {error}", remedy="write one array with numpy.save"
        ) from error
    return found


def _codes(values: NDArray[np.generic], end: End, path: Path) -> NDArray[np.int8]:
    """int8 codes of whatever numbers."""
    if values.dtype == np.int8:
        return values.astype(np.int8)
    if values.dtype == np.uint8:
        return (values.astype(np.int16) - _OFFSET).astype(np.int8)
    if not np.issubdtype(values.dtype, np.floating):
        raise DatasetError(
            f"{path.name} holds neither int8, uint8 nor real numbers",
            value=values.dtype,
            remedy="int8: the codes; uint8: codes + 128; float: real numbers, quantised here",
        )
    reals = values.astype(np.float64)
    if not np.isfinite(reals).all():
        raise DatasetError(f"{path.name} holds NaN or infinity", remedy="give finite numbers")
    return np.clip(np.rint(reals / end.scale) + end.zero_point, -128, 127).astype(np.int8)


def noise_inputs(bundle: Bundle, count: int, seed: int) -> NDArray[np.int8]:
    """The inputs that `bench` takes: all low, noise, all high."""
    return (bench_images(bundle, count, seed).astype(np.int16) - _OFFSET).astype(np.int8)


def run_bare(
    bundle: Bundle, built: BuildResult, inputs: NDArray[np.int8], *, timeout_s: float, check: bool
) -> BareRun:
    """Send inputs int8 (N, *shape) to the flashed board and read what it computes.

    Args:
        bundle: A bare model whose outputs go out whole.
        check: Compare with the reference kernels on this computer.

    Raises:
        DeviceError, LinkError: The board runs another build, or lost an input. ModelError: The reference does
            not run the model.
    """
    pixels = (inputs.astype(np.int16) + _OFFSET).astype(np.uint8).reshape(-1, *bundle.image_shape)
    hello, received, _ = exchange(bundle, built, pixels, timeout_s)
    golden = golden_payloads(bundle, pixels) if check else None
    source, output = model_ends(bundle)
    outcomes = []
    for each in received:
        values = (np.frombuffer(each.payload, np.uint8).astype(np.int16) - _OFFSET).tolist()
        counted = each.ticks is not None and hello.counter != "none"
        equal = None if golden is None else each.payload == golden[each.index].tobytes()
        outcomes.append(Outcome(each.index, values, hello.count(each.ticks or 0) if counted else None, equal))
    return BareRun(
        board=built.board,
        model=bundle.name,
        build_id=built.build_id,
        engine=hello.engine,
        counter=hello.counter,
        input=source,
        output=output,
        reference=reference_name(bundle) if check else "",
        outcomes=outcomes,
    )


def difference(run: BareRun) -> SemflashError | None:
    """The error of a run whose outputs differ from the reference's."""
    from semflash.firmware.probes.verdicts import Verdict, VerdictError

    if not run.wrong:
        return None
    return VerdictError(Verdict.OUTPUT_MISMATCH, value=f"{run.wrong:,} of {len(run.outcomes):,} outputs")
