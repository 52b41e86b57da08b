"""The operators beyond the first set and whole networks under sanitizers and on an emulated Cortex-M4F."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from codegen.brought_models import MODELS as BROUGHT
from codegen.building import HERE, compile_model, kernel_archive, run
from codegen.golden import Int8, litert_reference, make_images, request_for, tflm
from codegen.more_models import MODELS
from codegen.networks import NETWORKS, random_network
from codegen.test_emulated import COMPILER, pattern_images, run_emulated
from semflash_codegen import generate
from semflash_codegen.tflite_reader import read_model

_NETWORKS = ("ResNet8", "shape arithmetic")
NAMES = (*MODELS, *BROUGHT, *_NETWORKS, "random")


def model_of(name: str) -> bytes:
    """One model by its name."""
    rng = np.random.default_rng([3, len(name)])
    if name == "random":
        return random_network(rng)
    return (MODELS | BROUGHT | NETWORKS)[name](rng)


def golden(name: str, encoder: bytes, images: Int8) -> Int8:
    """TFLite-Micro's outputs; LiteRT's of what TFLite-Micro, as packaged, does not have."""
    return litert_reference(encoder, images) if name == "TILE" else tflm(encoder, images)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_is_clean_under_address_and_undefined_behaviour_sanitizers(
    name: str, tmp_path: Path, sanitizing_compiler: list[str], sanitized_kernels: Path
) -> None:
    encoder = model_of(name)
    model = read_model(encoder)
    images = make_images(model.tensors[model.inputs[0]].shape, 8)
    sources = (HERE / "harness.c", HERE / "sanitized_main.c")
    objects = compile_model(tmp_path, generate(request_for(encoder)), sanitizing_compiler, *sources)
    program, image_file, latent_file = tmp_path / "program", tmp_path / "images", tmp_path / "latents"
    run([*sanitizing_compiler, *objects, str(sanitized_kernels), "-o", str(program)])
    image_file.write_bytes(images.tobytes())
    run([str(program), str(image_file), str(latent_file)])
    assert latent_file.read_bytes() == golden(name, encoder, images).tobytes()


@pytest.fixture(scope="module")
def cortex_m4_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kernels for the Cortex-M4F."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return kernel_archive(tmp_path_factory.mktemp("m4"), COMPILER)


@pytest.mark.emulated
@pytest.mark.parametrize("name", NAMES)
def test_the_code_on_the_cortex_m4_gives_the_bytes_of_the_reference(
    name: str, tmp_path: Path, cortex_m4_kernels: Path
) -> None:
    encoder = model_of(name)
    model = read_model(encoder)
    images = pattern_images(model.tensors[model.inputs[0]].shape)
    latents, _ = run_emulated(tmp_path, request_for(encoder), cortex_m4_kernels)
    assert np.array_equal(latents, golden(name, encoder, images))
