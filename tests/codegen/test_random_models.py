"""Random small encoders through the layer-wise engine against TFLite-Micro and LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.building import build_host_model
from codegen.fused.random_models import random_model
from codegen.golden import litert_reference, make_images, request_for, tflm
from semflash_codegen import generate
from semflash_codegen.tflite_reader import read_model


def check(seed: int, folder: Path, kernels: Path) -> None:
    encoder = random_model(seed)
    model = read_model(encoder)
    images = make_images(model.tensors[model.inputs[0]].shape, 12, seed)
    golden = tflm(encoder, images)
    assert np.array_equal(golden, litert_reference(encoder, images))
    for choice in ("cmsis-nn", "reference"):
        got = build_host_model(folder / choice, generate(request_for(encoder, choice)), kernels).run(images)
        assert np.array_equal(got, golden), f"seed {seed}, {choice}"


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_a_random_encoder_gives_the_bytes_of_both_references(
    seed: int, tmp_path: Path, host_kernels: Path
) -> None:
    check(seed, tmp_path, host_kernels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2100))
def test_many_random_encoders_give_the_bytes_of_both_references(
    seed: int, tmp_path: Path, host_kernels: Path
) -> None:
    check(seed, tmp_path, host_kernels)
