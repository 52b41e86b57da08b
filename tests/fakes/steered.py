"""The bundle of symbols with states (vectors/make_steered_bundle.py), and a device behind a fake link."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fakes.link_device import FakeDevice
from semflash.bundle import Bundle, read_bundle
from semflash.bundle.schema import ControlInput, QualityInput, ReceivedInput, Record
from semflash.bundle.writer import write_bundle
from semflash.edge.golden import GoldenEncoder
from semflash.edge.preprocess import to_int8
from semflash.program.layout import Layout, Region
from semflash.program.quality import Ber
from semflash.program.stages import Normalise, TableTail, Tail
from semflash.program.tensors import Codes, Tensor

STEERED = Path(__file__).parents[1] / "vectors" / "steered.semcodec"
STATES = range(8)
RATES = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2.5e-2, 5e-2)
LEVELS = 8


@dataclass(frozen=True)
class Images:
    """A split, and a data set of that split alone."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    name: str = "blocks"

    @property
    def test(self) -> Images:
        return self


def blocks(count: int, seed: int = 0) -> Images:
    """Smooth random images, labelled at random."""
    rng = np.random.default_rng([seed, count])
    coarse = rng.integers(0, 256, (count, 4, 4, 1), np.uint8)
    return Images(coarse.repeat(7, axis=1).repeat(7, axis=2), rng.integers(0, 10, count).astype(np.int32))


def symbols() -> Bundle:
    """As it is: int8 values as symbols, told an SNR."""
    return read_bundle(STEERED)


def bits(folder: Path) -> Bundle:
    """The same projections behind a table of 8 codes, 12 bytes of bits, told a bit error rate."""
    bundle = symbols()
    program = bundle.program
    middle = program.tensor("projected")
    centres = tuple(float(v) for v in np.linspace(-1.75, 1.75, LEVELS))
    codes = [min(int((q + 128) * LEVELS / 256), LEVELS - 1) for q in range(-128, 128)]
    stages = [stage for stage in program.stages if not isinstance(stage, Normalise)]
    tail = Tail("projected", "codes", (TableTail(2, LEVELS, 0, codes * 2),))
    changed = msgspec.structs.replace(
        program,
        tensors=(
            *(tensor for tensor in program.tensors if tensor.name != "symbols"),
            Tensor("codes", middle.shape, Codes(LEVELS, centres, 3)),
        ),
        stages=(*stages, tail),
        payload=Layout((Region("codes", 3),)),
        quality=Ber(0.0, 0.06),
        controls=(msgspec.structs.replace(program.controls[0], follows=RATES),),
    )
    (graph,) = bundle.contract.edge
    inputs = (ReceivedInput("symbols", "codes"), QualityInput("snr"), ControlInput("state", "state"))
    contract = msgspec.structs.replace(
        bundle.contract,
        name="steered-bits",
        program=changed,
        edge=(msgspec.structs.replace(graph, inputs=inputs),),
    )
    record = Record(semflash_version="0.1.0", recipe={}, seed=0)
    return write_bundle(folder / "steered-bits.semcodec", contract, record, dict(bundle.files))


class Golden:
    """What a device must send for images, by state."""

    def __init__(self, bundle: Bundle, images: NDArray[np.uint8]) -> None:
        encoder, pixels = GoldenEncoder(bundle), to_int8(images, bundle.image_shape)
        self.by_state = [encoder.sent(images, {"state": state}) for state in STATES]
        self._index = {pixel.tobytes(): index for index, pixel in enumerate(pixels)}

    def payload(self, image: bytes, values: tuple[int, ...]) -> bytes:
        """As :attr:`FakeDevice.steer`."""
        return bytes(list(self.by_state[values[0]])[self._index[image]])


class SteeredDevice(FakeDevice):
    """A device of the bundle that encodes as the reference does."""

    def __init__(self, bundle: Bundle, golden: Golden, **options: Any) -> None:
        height, width, channels = bundle.image_shape
        (control,) = bundle.program.controls
        given: dict[str, Any] = {
            "bundle": bundle.hash32,
            "rows": height,
            "row_bytes": width * channels,
            "payload_bytes": bundle.payload_bytes,
            "rows_per_frame": height // 2,
            "pilot_bytes": 4,
            "controls": [(control.id, control.low, control.high, control.default)],
            "steer": golden.payload,
        }
        super().__init__(**(given | options))
