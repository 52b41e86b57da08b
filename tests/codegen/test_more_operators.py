"""The operators beyond the first set (MUL, SOFTMAX, MEAN, ...) against both references, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.batch import build_batch
from codegen.golden import litert_reference, make_images, request_for, tflm
from codegen.more_models import MODELS
from semflash_codegen import generate
from semflash_codegen.tflite_reader import read_model

_SEEDS = 24
_IMAGES = 10


@pytest.mark.parametrize("name", MODELS)
def test_random_models_give_the_bytes_of_tflite_micro_and_litert(
    name: str, tmp_path: Path, host_kernels: Path
) -> None:
    models = [MODELS[name](np.random.default_rng([seed, len(name)])) for seed in range(_SEEDS)]
    runners = build_batch(tmp_path, [generate(request_for(model)) for model in models], host_kernels)
    values = set()
    for seed, (model, runner) in enumerate(zip(models, runners, strict=True)):
        graph = read_model(model)
        images = make_images(graph.tensors[graph.inputs[0]].shape, _IMAGES, seed)
        got = runner.run(images)
        assert np.array_equal(got, tflm(model, images)), f"seed {seed}"
        assert np.array_equal(got, litert_reference(model, images)), f"seed {seed}"
        values |= set(np.unique(got).tolist())
    assert len(values) > 100, "models whose outputs hardly vary test nothing"
