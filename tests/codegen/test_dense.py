"""FULLY_CONNECTED with byte-mixed weights against TFLite-Micro; lengths that are no multiple of anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codegen.golden import request_for, tflm
from codegen.networks import Network
from codegen.test_emulated import m4_kernels, pattern_images, run_emulated
from codegen.test_networks import check
from semflash_codegen import generate
from semflash_codegen.tflite_reader import read_model

__all__ = ["m4_kernels"]

#: Inputs and outputs of layers behind each other: every way into the kernel's turn, and outputs left over.
WIDTHS = {
    "short": (3, 5, 1, 4, 2, 7, 8),
    "around a turn": (30, 31, 32, 33, 34, 36, 40),
    "long": (66, 100, 13, 129, 6, 251, 9),
}


def chain(name: str) -> bytes:
    """Dense layers one behind the other, every second one with a ReLU."""
    widths = WIDTHS[name]
    net = Network((1, widths[0]), np.random.default_rng(len(name)))
    x = net.image
    for number, outputs in enumerate(widths[1:]):
        x = net.dense(x, outputs, relu=number % 2 == 0)
    return net.finish(x)


@pytest.mark.parametrize("name", WIDTHS)
def test_dense_layers_give_the_bytes_of_tflite_micro_on_the_host(
    name: str, tmp_path: Path, host_kernels: Path
) -> None:
    check(chain(name), tmp_path, host_kernels, 8)


@pytest.mark.emulated
@pytest.mark.parametrize("name", WIDTHS)
def test_dense_layers_give_the_bytes_of_tflite_micro_on_the_core(
    name: str, tmp_path: Path, m4_kernels: Path
) -> None:
    model = chain(name)
    request = request_for(model, "auto")
    assert {layer.kernel for layer in generate(request).report.layers} == {"mixed"}
    images = pattern_images(read_model(model).tensors[read_model(model).inputs[0]].shape)
    latents, _ = run_emulated(tmp_path, request, m4_kernels)
    assert np.array_equal(latents, tflm(model, images))
    assert len(np.unique(latents)) > 3
