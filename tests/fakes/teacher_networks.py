"""ONNX teachers with random weights, image folders for them, and what they answer by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from fakes.onnx_files import Graph
from semflash.data.dataset import Dataset
from semflash.data.registry import load_dataset
from semflash.teachers.store import TeacherStore
from semflash.training.progress import Progress
from semflash.training.teaching.request import TeachRequest

QUIET = Progress(quiet=True)
CLASSES, SIDE = 4, 12


def request_of(photos: Path, teacher: str, out: Path, **more: Any) -> TeachRequest:
    """Two views of a folder's images."""
    return TeachRequest(str(photos), teacher, views=2, out=out, image_size=SIDE, **more)


def data_of(photos: Path) -> Dataset:
    """The folder's images, as such a request loads them."""
    return load_dataset(photos, image_size=(SIDE, SIDE))


def network(
    path: Path,
    *,
    last: str = "logits",
    classes: int = CLASSES,
    side: int = SIDE,
    batch: Any = "n",
    scale: float = 0.4,
) -> Path:
    """Convolution, ReLU, mean over positions, dense layer; ``last``: "softmax", or "map": no dense layer."""
    graph = Graph(seed=3)
    x = graph.conv("image", "conv", (3, 6))
    x = graph.node("Relu", [x], "relu")
    if last == "map":
        model = graph.model([batch, 3, side, side], x, 6)
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    else:
        x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "mean")], "flat")
        x = graph.node("Gemm", [x, graph.weight((6, classes), scale), graph.weight((classes,))], "dense")
        x = graph.node("Softmax", [x], "softmax", axis=1) if last == "softmax" else x
        model = graph.model([batch, 3, side, side], x, classes)
    onnx.save(model, path)
    return path


def run_network(path: Path, images: np.ndarray) -> np.ndarray:
    """The network's own answers to float images (n, H, W, C)."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return np.concatenate([session.run(None, {"image": one[None]})[0] for one in fed])


def whole_views(store: TeacherStore, data: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices, views, and the views' pixels of the whole store."""
    indices = np.tile(np.arange(len(data.train)), store.views)
    views = np.repeat(np.arange(store.views), len(data.train))
    return indices, views, store.view_images(np.asarray(data.train.images[indices]), indices, views)
