"""Writes torch_dynamo.onnx (with .data) and torch_script.onnx: a small network by both exporters of torch.

    python tests/imports/make_torch.py [FOLDER]

The files here were made by torch 2.13.0. A test runs this again where torch is installed
(requirements/torch.lock).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

SIDE, CLASSES = 32, 4


class Residual(torch.nn.Module):
    """A convolution with its BatchNorm, added to what went in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        """The sum, after a ReLU."""
        return torch.relu(x + self.norm(self.inner(x)))


def network() -> Any:
    """Stem, padded maximum, a residual block, mean, dense: what a small ResNet is made of."""
    torch.manual_seed(0)
    layers = [
        torch.nn.Conv2d(3, 8, 3, 2, 1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3, 2, 1),
        Residual(8),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, CLASSES),
    ]
    return torch.nn.Sequential(*layers).eval()


def write(folder: Path) -> None:
    """Both files."""
    model, image = network(), torch.zeros(1, 3, SIDE, SIDE)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter says that it is the older one
        torch.onnx.export(model, (image,), folder / "torch_dynamo.onnx", verbose=False, **names)
        torch.onnx.export(model, (image,), folder / "torch_script.onnx", dynamo=False, **names)
    _without_paths(folder / "torch_dynamo.onnx")


def _without_paths(path: Path) -> None:
    """Take out the stack traces that torch writes beside each node; the .data file stays as it is."""
    exported = onnx.load(path, load_external_data=False)
    for part in (exported, exported.graph, *exported.graph.node, *exported.graph.value_info):
        del part.metadata_props[:]
    onnx.save(exported, path)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
