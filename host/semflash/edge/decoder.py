"""Edge side of a codec: payload -> codes -> real values -> the edge graphs of the bundle -> its output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.models import bind
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import ControlInput, EdgeGraph, GraphInput, QualityInput, ReceivedInput
from semflash.channels.of_quality import channel_of
from semflash.edge.first_run import admit
from semflash.errors import BundleError
from semflash.outputs.image import clipped
from semflash.program.payload import Received, decode
from semflash.program.reference.receive import values
from semflash.program.used_controls import used_controls
from semflash.runtime.litert import load_interpreter, single

#: Payloads decoded in one invocation, and numbers in their images or outputs; bounds the memory it takes.
BATCH = 256
BATCH_VALUES = 12 << 20
#: The same for any tensor between the graphs' layers.
BATCH_INNER_VALUES = 64 << 20
_REMEDY = "export the bundle again"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Decoded:
    """Everything that the edge makes of N payloads.

    Attributes:
        outputs: Of the last edge graph, float32 (N, *shape).
        pictures: Float32 (N, H, W, C) in [0, 1]; None: the bundle gives none beside its output.
        levels: Of each patch as it arrived, uint8 (N, rows, columns); None: the bundle has no such map.
        consistent: Bool (N,), whether counts and maps agree with the payload's length, and its head can be
            trusted.
    """

    outputs: Array
    pictures: Array | None
    levels: NDArray[np.uint8] | None
    consistent: NDArray[np.bool_]


class EdgeDecoder:
    """Decodes payloads of one bundle with LiteRT (float32 on the CPU, no TensorFlow).

    Not thread-safe: one decoder per thread.

    Args:
        bundle: a checked bundle; one of unknown origin is tried in a child first (edge/first_run.py).
        threads: CPU threads of the interpreters.
        admitted: this is that child.

    Raises:
        BundleError: the edge graphs do not fit the contract, hold what no export makes, or do not survive
            their first run.
        ModelError: LiteRT cannot load them. ToolMissingError: LiteRT is not installed.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, admitted: bool = False) -> None:
        self._bundle, self._program = bundle, bundle.program
        largest = check_edge(bundle.contract, bundle.edge)
        if not admitted:
            admit(bundle)
        self._graphs = [
            _Graph(spec, bundle.edge[spec.name], threads=threads) for spec in bundle.contract.edge
        ]
        self._outputs = bundle.contract.output.shape
        largest_end = max(math.prod(self._outputs), math.prod(bundle.image_shape))
        self._most = max(1, min(BATCH, BATCH_VALUES // largest_end, BATCH_INNER_VALUES // largest))
        self._fixed = self._program.payload.is_fixed

    @property
    def chains(self) -> bool:
        """Whether there are graphs behind the first that read its output only, as a task tail does."""
        later = self._bundle.contract.edge[1:]
        return bool(later) and all(isinstance(i, GraphInput) for spec in later for i in spec.inputs)

    def features(
        self,
        payloads: NDArray[np.uint8],
        level: ArrayLike,
        *,
        bits: NDArray[np.int64] | None = None,
        controls: Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Output of the first edge graph: of a decoder the features at the task network's split point.

        Args and errors: as :meth:`logits`.

        Returns:
            float32 (N, ...).
        """
        return self._run_all(payloads, level, bits, controls, self._graphs[:1]).outputs

    def logits(
        self,
        payloads: NDArray[np.uint8],
        level: ArrayLike,
        *,
        bits: NDArray[np.int64] | None = None,
        controls: Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Output of the last edge graph for received payloads.

        Args:
            payloads: uint8 (N, P), damaged bits and all.
            level: estimate of the channel's quality, of the bundle's kind (a bit error rate 0..0.5, or an SNR
                in dB); one number or (N,).
            bits: int64 (N,), the length of each payload where they differ; None: all of P bytes.
            controls: values that the device used for the payloads, by the controls' names, one or (N,); a
                control that is not named, and all of them with None, is at its default.

        Returns:
            float32 (N, *shape) with the shape of the bundle's output: logits, maps, boxes or pictures.

        Raises:
            BundleError: payloads of the wrong size. UsageError: a level out of range. ProgramError: there is
                no such control, or its values are no whole numbers.
        """
        return self.decode(payloads, level, bits=bits, controls=controls).outputs

    def decode(
        self,
        payloads: NDArray[np.uint8],
        level: ArrayLike,
        *,
        bits: NDArray[np.int64] | None = None,
        controls: Mapping[str, ArrayLike] | None = None,
    ) -> Decoded:
        """Output, picture and map of levels of received payloads. Args and errors: as :meth:`logits`."""
        return self._run_all(payloads, level, bits, controls, self._graphs)

    def classify(self, features: Array) -> Array:
        """As :meth:`logits`, from outputs of the first edge graph, float32 (N, ...).

        Raises:
            BundleError: later graphs read more than that (:attr:`chains`).
        """
        if not self.chains:
            raise BundleError("this bundle's answer needs more than its features", value=self._bundle.name)
        parts = []
        for start in range(0, len(features), self._most):
            part = np.ascontiguousarray(features[start : start + self._most], np.float32)
            parts.append(self._run(self._graphs[1:], {}, {self._graphs[0].spec.name: part}))
        return _joined(parts, self._outputs)

    def _run_all(
        self,
        payloads: NDArray[np.uint8],
        level: ArrayLike,
        bits: NDArray[np.int64] | None,
        controls: Mapping[str, ArrayLike] | None,
        graphs: list[_Graph],
    ) -> Decoded:
        received = self._received(payloads, bits)
        inputs = self._inputs(received)
        levels = channel_of(self._program.quality).check(level, len(payloads))
        told = _Told(
            levels.astype(np.float32)[:, None],
            used_controls(self._program.controls, controls, len(payloads)),
        )
        parts: list[Array] = []
        pictures: list[Array] = []
        for start in range(0, len(payloads), self._most):
            part = slice(start, start + self._most)
            given = {name: array[part] for name, array in inputs.items()}
            outputs: dict[str, Array] = {}
            parts.append(self._run(graphs, given, outputs, told.part(part)))
            if self._bundle.picture in outputs:
                pictures.append(clipped(outputs[self._bundle.picture]))
        return Decoded(
            _joined(parts, self._outputs),
            None if self._bundle.picture is None else _joined(pictures, self._bundle.image_shape),
            self._levels(received),
            received.consistent,
        )

    def _received(self, payloads: NDArray[np.uint8], bits: NDArray[np.int64] | None) -> Received:
        """What payloads tell."""
        size = self._bundle.payload_bytes
        if payloads.ndim != 2 or (self._fixed and payloads.shape[1] != size):
            raise BundleError(
                f"payloads of this bundle have {size} bytes",
                value=tuple(payloads.shape),
                remedy="look whether device and edge run the same bundle",
            )
        return decode(self._program, payloads, bits)

    def _inputs(self, received: Received) -> dict[str, Array]:
        """Real values of every tensor that the graphs read, by name."""
        given = (i for graph in self._graphs for i in graph.spec.inputs)
        names = {i.tensor for i in given if isinstance(i, ReceivedInput)}
        return {name: values(self._program, received, name) for name in names}

    def _levels(self, received: Received) -> NDArray[np.uint8] | None:
        """The map of levels, (N, rows, columns)."""
        name = self._bundle.level_map
        if name is None:
            return None
        codes = received.codes[name].view(np.uint8)
        return codes.reshape(len(codes), *self._program.tensor(name).shape[:2])

    @staticmethod
    def _run(
        graphs: list[_Graph],
        inputs: Mapping[str, Array],
        outputs: dict[str, Array],
        told: _Told | None = None,
    ) -> Array:
        """Run graphs for one batch; `outputs` holds those of earlier ones."""
        for graph in graphs:
            fed = []
            for given in graph.spec.inputs:
                match given:
                    case ReceivedInput():
                        fed.append(inputs[given.tensor])
                    case GraphInput():
                        fed.append(outputs[given.graph])
                    case QualityInput():
                        assert told is not None  # only graphs of a chain run without
                        fed.append(told.quality)
                    case ControlInput():
                        assert told is not None
                        fed.append(told.controls[given.control])
            outputs[graph.spec.name] = graph.run(fed)
        return outputs[graphs[-1].spec.name]


def _joined(parts: list[Array], shape: tuple[int, ...]) -> Array:
    """One array; of no payloads an empty one."""
    return np.concatenate(parts) if parts else np.empty((0, *shape), np.float32)


@dataclass(frozen=True)
class _Told:
    """What graphs are told beside payloads: the channel's quality and the controls used, each (N, 1)."""

    quality: Array
    controls: Mapping[str, Array]

    def part(self, of: slice) -> _Told:
        """For some of the payloads."""
        return _Told(self.quality[of], {name: values[of] for name, values in self.controls.items()})


class _Graph:
    """One edge graph that is loaded, for any batch."""

    def __init__(self, spec: EdgeGraph, model: bytes, *, threads: int) -> None:
        self.spec = spec
        self._interpreter = load_interpreter(model, spec.file.file, threads=threads)
        details = self._interpreter.get_input_details()
        places = bind([each["name"] for each in details], [i.name for i in spec.inputs], spec.file.file)
        self._indices = [int(details[place]["index"]) for place in places]
        self._batch, self._output = 0, 0

    def run(self, inputs: list[Array]) -> Array:
        """Output float32 (N, ...) for inputs in the order of the contract."""
        self._resize(inputs)
        name = self.spec.file.file
        try:
            for index, value in zip(self._indices, inputs, strict=True):
                self._interpreter.set_tensor(index, np.ascontiguousarray(value))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{name} does not run", value=error, remedy=_REMEDY) from error
        found: Array = self._interpreter.get_tensor(self._output)
        if not np.isfinite(found).all():
            raise BundleError(
                f"{name} gives numbers that are not finite", remedy=f"{_REMEDY}, or look for a diverged run"
            )
        return found

    def _resize(self, inputs: list[Array]) -> None:
        batch = len(inputs[0])
        if batch == self._batch:
            return
        interpreter: Any = self._interpreter
        try:
            for index, value in zip(self._indices, inputs, strict=True):
                interpreter.resize_tensor_input(index, list(value.shape), strict=True)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BundleError(
                f"{self.spec.file.file} does not fit its inputs or a batch", value=error, remedy=_REMEDY
            ) from error
        self._output = int(single(interpreter.get_output_details(), self.spec.file.file)["index"])
        self._batch = batch
