"""Random layer shapes and chains against tflite-micro and LiteRT's reference kernels, bit for bit."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codegen.fused import emulator
from codegen.fused.batch import SOURCES, HostBatch, Streamed, compile_all, streamed, write_batch
from codegen.fused.fixed_models import extremes
from codegen.fused.random_models import random_model
from codegen.fused.references import golden, inputs
from semflash_codegen.fused.exact import ExactForm

HOST = {"fast": range(300), "small": range(1000, 1080)}
EMULATED = range(2000, 2040)

needs_emulator = pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and gcc-arm-none-eabi",
)


@pytest.mark.parametrize("weights", ["fast", "small"])
def test_random_chains_give_the_bytes_of_both_references_on_the_host(weights: str, tmp_path: Path) -> None:
    seeds = HOST[weights]
    models = [streamed(random_model(seed), small=weights == "small") for seed in seeds]
    batch = HostBatch(models, tmp_path)
    distinct = []
    for index, (seed, item) in enumerate(zip(seeds, models, strict=True)):
        images = inputs(item.model, 4, seed)
        micro, lite = golden(item.model, images)
        assert np.array_equal(micro, lite), f"seed {seed}: the references disagree"
        got = batch.run(index, images).reshape(micro.shape)
        assert np.array_equal(got, micro), f"seed {seed}: {_kinds([item])}"
        distinct.append(len(np.unique(micro)))
    assert np.mean(np.array(distinct) > 8) > 0.6, "outputs that hardly vary test nothing"
    assert set(_kinds(models)) >= _EVERY_KIND[weights], _kinds(models)


_ALL = {"whole", "rows", "strip", "pooled", "depthwise", "max", "average", "table", "max ring"}
_EVERY_KIND = {
    "fast": _ALL | {"accumulate", "chunked", "chunked general", "fours", "whole mixed", "exact depthwise"},
    "small": _ALL | {"fours", "whole mixed"},
}


def _kinds(models: list[Streamed]) -> Counter[str]:
    """How often each kind of stage occurs; "general" where no cheap requantisation is proven."""
    kinds: Counter[str] = Counter()
    for item in models:
        for stage in item.plan.stages:
            general = stage.kind in ("chunked", "depthwise", "accumulate") and stage.form is None
            if stage.convs and stage.convs[-1].form is not None:
                general = False
            kinds[stage.kind + (" general" if general else "")] += 1
            kinds["fours"] += any(tables.mode == "quads" for tables in stage.convs)
            kinds["whole mixed"] += any(tables.mode == "whole" and tables.mixed for tables in stage.convs)
            kinds["exact depthwise"] += stage.kind == "depthwise" and isinstance(stage.form, ExactForm)
    return kinds


@pytest.mark.emulated
@needs_emulator
@pytest.mark.parametrize(
    ("weights", "flags"),
    [("fast", ()), ("small", ()), ("fast", ("-DSF_FUSED_PLAIN_C",))],
    ids=["fast", "small", "plain C"],
)
def test_random_chains_give_the_same_bytes_on_an_emulated_cortex_m4(
    weights: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    seeds = EMULATED if not flags else EMULATED[:10]
    models = [streamed(random_model(seed), small=weights == "small") for seed in seeds]
    image = emulator.build(models, tmp_path, patterns=4, flags=flags)
    results = emulator.run(image)
    for index, (seed, item) in enumerate(zip(seeds, models, strict=True)):
        source = item.chain.layers[0].source
        shape = (source.height, source.width, source.channels)
        micro, _ = golden(item.model, emulator.firmware_images(shape, 4))
        got = np.stack([results[index, pattern].latent for pattern in range(4)])
        assert np.array_equal(got.reshape(micro.shape), micro), f"seed {seed}: {_kinds([item])}"


@pytest.mark.emulated
@needs_emulator
@pytest.mark.parametrize("weights", ["fast", "small"])
def test_shapes_at_the_limits_of_the_kernels_give_the_same_bytes(weights: str, tmp_path: Path) -> None:
    models = [streamed(model, small=weights == "small") for model in extremes()]
    kinds = [stage.kind for item in models for stage in item.plan.stages]
    assert kinds == ["whole", "accumulate", "rows", "whole", "rows", "rows"]
    results = emulator.run(emulator.build(models, tmp_path, patterns=4))
    for index, item in enumerate(models):
        source = item.chain.layers[0].source
        images = emulator.firmware_images((source.height, source.width, source.channels), 4)
        micro, _ = golden(item.model, images)
        got = np.stack([results[index, pattern].latent for pattern in range(4)])
        assert np.array_equal(got.reshape(micro.shape), micro), _kinds([item])


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m33"])
def test_the_engine_compiles_without_warnings_for_cores_with_and_without_dsp(
    core: str, tmp_path: Path
) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs gcc-arm-none-eabi")
    models = write_batch([streamed(random_model(seed)) for seed in range(4000, 4006)], tmp_path)
    compiler = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-O2"]
    assert compile_all(compiler, [*models, *SOURCES], tmp_path)


def test_the_plain_twins_are_clean_under_sanitizers(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from codegen.fused.batch import HostBatch, streamed\n"
        "from codegen.fused.random_models import random_model\n"
        "from codegen.fused.references import inputs\n"
        "models = [streamed(random_model(seed), small=seed % 2 == 0) for seed in range(3000, 3040)]\n"
        "flags = ('-O1', '-fsanitize=undefined', '-fno-sanitize-recover=all')\n"
        "batch = HostBatch(models, Path(sys.argv[1]), flags)\n"
        "for index, item in enumerate(models):\n"
        "    batch.run(index, inputs(item.model, 2, index))\n"
        "print('clean')\n"
    )
    root = Path(__file__).parents[3]
    paths = [root / room for room in ("tests", "codegen", "host")]
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *map(str, paths)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.endswith("clean\n"), done.stderr[-2000:]
