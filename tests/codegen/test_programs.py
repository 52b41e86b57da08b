"""Programs of several stages, and two in one firmware: the C equals the golden device bit for bit."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

import programs
from codegen.building import DEVICE, HERE, STRICT, host_compiler, includes, load_host_model, run
from codegen.fused.tflite_builder import Builder
from codegen.golden import HASH, Int8, litert_reference, make_images
from codegen.test_emulated import COMPILER, emulate, m4_kernels, pattern_images
from semflash.bundle.reader import read_bundle
from semflash.program.program import Program
from semflash.program.reference import run as reference
from semflash.program.stages import Graph, Order
from semflash.program.tensors import Codes, Values
from semflash_codegen import CodegenRequest, generate
from semflash_codegen.errors import RequestError, UnsupportedModelError
from semflash_codegen.program import place

__all__ = ["m4_kernels"]

#: The name in the first line of a definition outside a function.
DEFINED = re.compile(
    r"^(?:static |const |extern |__attribute__\(\([^)]*\)\) )+[\w ]*?(\w+)(?:\[|\(| =|;)", re.MULTILINE
)
SHIM = """\
#include "first.h"
#include "second.h"
_Static_assert(FIRST_ROWS == SECOND_ROWS && FIRST_ROW_BYTES == SECOND_ROW_BYTES, "images of two sizes");
#define FIRST_STATE ((FIRST_STATE_BYTES + 15) / 16 * 16)
#define SF_MODEL_ROWS FIRST_ROWS
#define SF_MODEL_ROW_BYTES FIRST_ROW_BYTES
#define SF_MODEL_STATE_BYTES (FIRST_STATE + SECOND_STATE_BYTES)
#define SF_MODEL_LATENT_POSITIONS (4 + FIRST_PAYLOAD_BYTES + SECOND_PAYLOAD_BYTES)
#define SF_MODEL_LATENT_CHANNELS 1
"""


def conv(source: Builder, out: int, kernel: tuple[int, int], stride: int, same: bool, zero: int) -> bytes:
    """One convolution."""
    rng = np.random.default_rng([out, stride])
    depth = source.shape[2]
    weights = rng.integers(-127, 128, (out, *kernel, depth)).astype(np.int8)
    scale = float(np.float32(source.quantisation[0] * np.sqrt(np.prod(kernel) * depth) * 0.6))
    return source.conv(
        weights,
        rng.integers(-2000, 2000, out).astype(np.int32),
        rng.uniform(0.004, 0.012, out).astype(np.float32),
        stride=(stride, stride),
        same=same,
        activation="none",
        scale=scale,
        zero=zero,
    ).finish()


def models() -> dict[str, bytes]:
    """The graphs of tests/programs.py."""
    image = ((8, 6, 1), 1 / 255, -128)
    return {
        "encoder": conv(Builder(*image), 5, (3, 3), 2, same=True, zero=-3),
        "head": conv(Builder(*image), 10, (8, 6), 1, same=False, zero=4),
        "counter": conv(Builder(*image), 1, (8, 6), 1, same=False, zero=0),
        "chooser": conv(Builder(*image), 1, (2, 6), 2, same=False, zero=0),
        "scorer": conv(Builder(*image), 1, (3, 3), 2, same=True, zero=7),
        "attention": conv(Builder((4, 3, 5), 0.05, -3), 1, (3, 3), 1, same=True, zero=7),
    }


def golden(program: Program, files: dict[str, bytes], images: Int8) -> list[bytes]:
    """Bits and payload of each image, as two_programs.c gives them."""

    def run_graph(name: str, inputs: list[Int8]) -> list[Int8]:
        shape = next(program.tensor(g.outputs[0]).shape for g in program.graphs if g.name == name)
        return [litert_reference(files[name], inputs[0]).reshape(len(inputs[0]), *shape)]

    results = []
    for image in images.reshape(len(images), *program.tensor(program.image).shape):
        setting = int(image.reshape(-1).view(np.uint8)[0]) % 32
        controls = {control.name: setting for control in program.controls if control.id == 1}
        sent = reference.run(program, image[None], run_graph, controls).sent
        results.append(int(sent.bits[0]).to_bytes(2, "little") + sent.payloads[0].tobytes())
    return results


Pair = tuple[tuple[Program, dict[str, bytes]], tuple[Program, dict[str, bytes]]]


def zoo_pair() -> Pair:
    """Two encoders of the zoo for images of one size."""
    pairs = []
    for name in ("fashion-mnist-24", "fashion-mnist-48"):
        bundle = read_bundle(name)
        graph = bundle.written.device_graphs[0].name
        pairs.append((bundle.program, {graph: bundle.models["encoder"]}))
    return pairs[0], pairs[1]


def staged_pair() -> Pair:
    """Two graphs with a tail each, and a graph behind a graph with an order and a limit."""
    return (programs.two_graphs(), models()), (programs.progressive(), models())


def ruled_pair() -> Pair:
    """Every rule and protection of the payload, and one graph beside it."""
    return (programs.masked(), models()), (programs.plain(), models())


def projected_pair() -> Pair:
    """Projections that a control chooses, with power normalisation, tails and a graph behind them."""
    return (programs.symbols(), models()), (programs.projected(), models())


def modulated_pair() -> Pair:
    """A modulation that a control chooses before one projection, and the projection of each state."""
    return (programs.modulated(), models()), (programs.symbols(), models())


def detailed_pair() -> Pair:
    """Levels of detail as a rate allows, the payload's head as it is and as Golay words."""
    plain, protected = programs.detailed(), programs.detailed(contrast=False, protect=True)
    return (plain, models()), (protected, models())


def falls_pair() -> Pair:
    """Levels by what they leave of each patch, and those of common gains beside them."""
    return (programs.by_falls(), models()), (programs.detailed(), models())


PAIRS = {
    "detailed": detailed_pair,
    "falls": falls_pair,
    "zoo": zoo_pair,
    "staged": staged_pair,
    "ruled": ruled_pair,
    "projected": projected_pair,
    "modulated": modulated_pair,
}


def generate_pair(folder: Path, pair: Pair, kernels: str) -> list[Path]:
    """Generated files of both, and the header that gives both."""
    sources = []
    for prefix, (program, files) in zip(("first", "second"), pair, strict=True):
        request = CodegenRequest(program, files, HASH, prefix=prefix, kernels=kernels)
        for name, text in generate(request).files.items():
            (folder / name).write_text(text, encoding="utf-8")
        sources.append(folder / f"{prefix}.c")
    (folder / "sf_model.h").write_text(SHIM, encoding="utf-8")
    return sources


def compile_pair(folder: Path, pair: Pair, kernels: str, compiler: list[str], *more: Path) -> list[str]:
    """Objects of the two programs and of the runtime they need."""
    runtime = [
        DEVICE / "src" / f"{name}.c"
        for name in ("controls", "crc", "encoder", "head", "layout", "patch_stages", "program", "values")
    ]
    runtime += sorted((DEVICE / "stages").glob("*.c"))
    objects = []
    for source in (*generate_pair(folder, pair, kernels), HERE / "two_programs.c", *runtime, *more):
        target = folder / f"{source.stem}.o"
        run([*compiler, *STRICT, *includes(folder), "-c", str(source), "-o", str(target)])
        objects.append(str(target))
    return objects


def expected(pair: Pair, images: Int8) -> list[bytes]:
    """What both give for each image, one behind the other."""
    first, second = (golden(program, files, images) for program, files in pair)
    return [a + b for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("kernels", ["auto", "reference"])
@pytest.mark.parametrize("name", PAIRS)
def test_two_programs_in_one_library_run_by_turns_and_equal_the_golden_device(
    name: str, kernels: str, tmp_path: Path, host_kernels: Path
) -> None:
    pair = PAIRS[name]()
    objects = compile_pair(tmp_path, pair, kernels, host_compiler())
    library = tmp_path / "both.so"
    run([host_compiler()[0], "-shared", "-o", str(library), *objects, str(host_kernels)])
    shape = pair[0][0].tensor("image").shape
    images = make_images((1, *shape), 40)
    images.reshape(40, -1)[:, 0] = np.arange(40) - 20
    found = load_host_model(library).run(images)
    assert [row.tobytes() for row in found] == expected(pair, images)


@pytest.mark.emulated
@pytest.mark.parametrize("name", PAIRS)
def test_two_programs_in_one_firmware_equal_the_golden_device_in_the_emulator(
    name: str, tmp_path: Path, m4_kernels: Path
) -> None:
    pair = PAIRS[name]()
    objects = compile_pair(tmp_path, pair, "auto", COMPILER, HERE / "emulated_main.c")
    images = pattern_images((1, *pair[0][0].tensor("image").shape))
    found = [bytes.fromhex(line[2]) for line in emulate(tmp_path, objects, m4_kernels)]
    assert found == expected(pair, images)


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn"])
@pytest.mark.parametrize("name", PAIRS)
def test_every_generated_name_begins_with_the_prefix(name: str, kernels: str) -> None:
    """File names, macros, and every name that is defined outside a function."""
    for program, files in PAIRS[name]():
        request = CodegenRequest(program, files, HASH, prefix="other", kernels=kernels)
        for file, text in generate(request).files.items():
            assert file.startswith("other")
            assert "sf_model" not in text and "SF_MODEL" not in text
            defined = DEFINED.findall(text)
            defined += re.findall(r"^#define (\w+)", text, re.MULTILINE)
            assert defined
            assert [n for n in defined if not n.lower().startswith("other")] == []


def changed(program: Program, **fields: object) -> Program:
    return msgspec.structs.replace(program, **fields)


def test_what_a_device_does_not_do_yet_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModelError, match="graph stem must run once") as error:
        generate(CodegenRequest(programs.patches(), dict.fromkeys(("stem", "pick", "encode"), b""), HASH))
    assert error.value.remedy
    plain = programs.plain()
    many = [Graph("encoder", ("image",), (f"latent{i}",)) for i in range(4)]
    tensors = [msgspec.structs.replace(plain.tensors[1], name=f"latent{i}") for i in range(4)]
    regions = [msgspec.structs.replace(plain.payload.regions[0], source=t.name, bits=8) for t in tensors]
    layout = msgspec.structs.replace(plain.payload, regions=(*plain.payload.regions, *regions))
    five = changed(plain, stages=(*plain.stages, *many), tensors=(*plain.tensors, *tensors), payload=layout)
    with pytest.raises(UnsupportedModelError, match="at most 4 graphs"):
        generate(CodegenRequest(five, {"encoder": models()["encoder"]}, HASH))


@pytest.mark.parametrize("zero", [-4, -2])
def test_a_graph_whose_ends_are_not_the_programs_tensors_is_refused(zero: int) -> None:
    program = programs.two_graphs()
    files = models() | {
        "encoder": conv(Builder((8, 6, 1), 1 / 255, -128), 5, (3, 3), 2, same=True, zero=zero)
    }
    with pytest.raises(RequestError, match="does not fit graph encoder"):
        generate(CodegenRequest(program, files, HASH))
    assert isinstance(program.tensors[1].holds, Values)


class DeviceOrder(ctypes.Structure):
    """sf_order_t of device/include/semflash/stages.h."""

    _fields_ = [(name, ctypes.c_uint16) for name in ("positions", "channels", "levels", "step")]


def test_an_order_has_the_memory_that_the_device_asks_for(tmp_path: Path) -> None:
    library = tmp_path / "order.so"
    source = DEVICE / "stages" / "order.c"
    run([*host_compiler(), *includes(tmp_path), "-shared", "-o", str(library), str(source)])
    scores = ctypes.CDLL(str(library)).sf_order_scores
    program = programs.progressive()
    number = next(n for n, stage in enumerate(program.stages) if isinstance(stage, Order))
    for levels in (2, 3, 8, 16):
        for step in (0, 1, 22):
            stages = list(program.stages)
            stages[number] = msgspec.structs.replace(stages[number], step=step)
            tensors = [
                msgspec.structs.replace(t, holds=Codes(levels, (), 4)) if t.name == "saliency" else t
                for t in program.tensors
            ]
            memory = place(changed(program, stages=(*stages[2:],), tensors=tuple(tensors)), ())
            begin = memory.stages[number - 2]
            behind = min(o for o in (*memory.tensors.values(), memory.controls) if o > begin)
            asked = 2 * scores(ctypes.byref(DeviceOrder(12, 5, levels, step)))
            assert behind - begin == -(-asked // 8) * 8, (levels, step)
