"""Generated code against the golden references, bit for bit, on the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.building import HERE, build_host_model, compile_model, run
from codegen.fused.tflite_builder import Builder
from codegen.golden import NAMES, litert_reference, load, make_images, request_for, tflm
from semflash_codegen import generate
from semflash_codegen.tflite_reader import read_model

#: FULLY_CONNECTED may differ by one step between the two references; TFLite-Micro is followed.
REFERENCES_DIFFER = ("dense",)


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_the_generated_code_gives_the_bytes_of_tflite_micro_and_litert(
    name: str, kernels: str, tmp_path: Path, host_kernels: Path
) -> None:
    encoder = load(name)
    model = read_model(encoder)
    images = make_images(model.tensors[model.inputs[0]].shape, 24)
    got = build_host_model(tmp_path, generate(request_for(encoder, kernels)), host_kernels).run(images)
    assert np.array_equal(got, tflm(encoder, images))
    if name not in REFERENCES_DIFFER:
        assert np.array_equal(got, litert_reference(encoder, images))
    assert len(np.unique(got)) > 8, "a model whose output hardly varies tests nothing"


@pytest.mark.parametrize("kernels", ["auto", "cmsis-nn", "reference"])
@pytest.mark.parametrize("name", NAMES)
def test_the_generated_code_is_clean_under_address_and_undefined_behaviour_sanitizers(
    name: str, kernels: str, tmp_path: Path, sanitizing_compiler: list[str], sanitized_kernels: Path
) -> None:
    encoder = load(name)
    model = read_model(encoder)
    images = make_images(model.tensors[model.inputs[0]].shape, 8)
    generated = generate(request_for(encoder, kernels))
    sources = (HERE / "harness.c", HERE / "sanitized_main.c")
    objects = compile_model(tmp_path, generated, sanitizing_compiler, *sources)
    program, image_file, latent_file = tmp_path / "program", tmp_path / "images", tmp_path / "latents"
    run([*sanitizing_compiler, *objects, str(sanitized_kernels), "-o", str(program)])
    image_file.write_bytes(images.tobytes())
    run([str(program), str(image_file), str(latent_file)])
    assert latent_file.read_bytes() == tflm(encoder, images).tobytes()


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(
    ("activation", "low", "high"), [("none", -128, 127), ("relu", 5, 127), ("relu6", 5, 29)]
)
def test_the_activation_of_a_pool_bounds_its_output(
    kind: str, activation: str, low: int, high: int, tmp_path: Path, host_kernels: Path
) -> None:
    """With scale 0.25 and zero point 5 the numbers 0 and 6 are the codes 5 and 29."""
    pool = Builder((6, 6, 3), 0.25, 5).pool(kind, (2, 2), stride=(2, 2), same=False, activation=activation)
    model = pool.finish()
    generated = generate(request_for(model, "reference"))
    images = make_images((1, 6, 6, 3), 8)
    found = build_host_model(tmp_path, generated, host_kernels).run(images)
    assert found.min() == low and found.max() == high
    assert np.array_equal(found, litert_reference(model, images))
