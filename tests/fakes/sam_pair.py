"""Tiny networks with the names and shapes of SAM's exports: a mask is every pixel as grey as the point's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

SIDE = 64
#: Predicted IoU of four masks: all pixels (that of several points), the grey of the point, its inverse, which
#: is bad, and one that is nowhere sure.
QUALITY = (0.999, 0.95, 0.5, 0.99)


def value(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    constants: dict[str, np.ndarray],
) -> ModelProto:
    tensors = [numpy_helper.from_array(one, name) for name, one in constants.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def encoder(kind: str) -> ModelProto:
    """Grey values as embeddings, (1, 1, H, W): of ``square``, ``plain`` or ``batched`` images."""
    node = helper.make_node
    out = [value("image_embeddings", [1, 1, "h", "w"])]
    if kind == "plain":
        nodes = [
            node("ReduceMean", ["image"], ["grey"], axes=[2], keepdims=0),
            node("Unsqueeze", ["grey", "two"], ["image_embeddings"]),
        ]
        constants = {"two": np.array([0, 1], np.int64)}
        return model(nodes, [value("image", ["h", "w", 3])], out, constants)
    name = "batched_images" if kind == "batched" else "image"
    shape: list[int | str] = [1, 3, "h", "w"] if kind == "batched" else [1, 3, SIDE, SIDE]
    nodes = [node("ReduceMean", [name], ["image_embeddings"], axes=[1], keepdims=1)]
    return model(nodes, [value(name, shape)], out, {})


def decoder(*, scale: float = 100.0) -> ModelProto:
    """Of SAM and MobileSAM: one point at a time, four masks."""
    node = helper.make_node
    nodes = [
        node("Slice", ["point_coords", "first", "last", "axes"], ["one"]),
        node("Reshape", ["one", "pair"], ["xy"]),
        node("Gather", ["xy", "swap"], ["yx"]),
        node("Cast", ["yx"], ["whole"], to=TensorProto.INT64),
        node("Concat", ["zeros", "whole"], ["index"], axis=0),
        node("Reshape", ["index", "row"], ["place"]),
        node("GatherND", ["image_embeddings", "place"], ["grey"]),
        node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        node("Slice", ["image_embeddings", "corner", "size", "sides"], ["cut"]),
        *_four("cut", "grey", 1),
        node("Identity", ["quality"], ["iou_predictions"]),
    ]
    constants = {
        "first": np.array([0, 0], np.int64),
        "last": np.array([1, 1], np.int64),
        "axes": np.array([0, 1], np.int64),
        "pair": np.array([2], np.int64),
        "swap": np.array([1, 0], np.int64),
        "zeros": np.array([0, 0], np.int64),
        "row": np.array([1, 4], np.int64),
        "corner": np.array([0, 0], np.int64),
        "sides": np.array([2, 3], np.int64),
        "scale": np.float32(scale),
        "quality": np.array([QUALITY], np.float32),
    }
    inputs = [
        value("image_embeddings", [1, 1, "h", "w"]),
        value("point_coords", [1, "n", 2]),
        value("point_labels", [1, "n"]),
        value("mask_input", [1, 1, 256, 256]),
        value("has_mask_input", [1]),
        value("orig_im_size", [2]),
    ]
    outputs = [value("masks", [1, 4, "h", "w"]), value("iou_predictions", [1, 4])]
    return model(nodes, inputs, outputs, constants | _levels())


def batched_decoder() -> ModelProto:
    """Of EfficientSAM: all points at once, on images of 64x64."""
    node = helper.make_node
    nodes = [
        node("Cast", ["batched_point_coords"], ["whole"], to=TensorProto.INT64),
        node("Mul", ["whole", "steps"], ["offsets"]),
        node("ReduceSum", ["offsets", "last"], ["places"], keepdims=0),
        node("Reshape", ["places", "flat"], ["index"]),
        node("Reshape", ["image_embeddings", "flat"], ["pixels"]),
        node("Gather", ["pixels", "index"], ["found"]),
        node("Reshape", ["found", "query"], ["grey"]),
        node("Unsqueeze", ["image_embeddings", "zero"], ["cut"]),
        *_four("cut", "grey", 2, "output_masks"),
        node("Reshape", ["grey", "rows"], ["asked"]),
        node("Mul", ["asked", "nought"], ["none"]),
        node("Add", ["none", "quality"], ["iou_predictions"]),
    ]
    constants = {
        "steps": np.array([1, SIDE], np.int64),
        "last": np.array([3], np.int64),
        "flat": np.array([-1], np.int64),
        "query": np.array([1, -1, 1, 1, 1], np.int64),
        "rows": np.array([1, -1, 1], np.int64),
        "zero": np.array([0], np.int64),
        "scale": np.float32(1e4),
        "quality": np.array([[QUALITY]], np.float32),
    }
    inputs = [
        value("image_embeddings", [1, 1, SIDE, SIDE]),
        value("batched_point_coords", [1, "q", 1, 2]),
        value("batched_point_labels", [1, "q", 1]),
        value("orig_im_size", [2], TensorProto.INT64),
    ]
    outputs = [value("output_masks", [1, "q", 4, SIDE, SIDE]), value("iou_predictions", [1, "q", 4])]
    return model(nodes, inputs, outputs, constants | _levels())


def _levels() -> dict[str, np.ndarray]:
    return {"four": np.float32(4), "nought": np.float32(0), "nine": np.float32(9), "half": np.float32(0.5)}


def _four(source: str, grey: str, axis: int, name: str = "masks") -> list[NodeProto]:
    """The four masks of :data:`QUALITY`, by how far each pixel is from the point's grey."""
    node = helper.make_node
    return [
        node("Sub", [source, grey], ["far"]),
        node("Abs", ["far"], ["away"]),
        node("Mul", ["away", "scale"], ["steep"]),
        node("Sub", ["four", "steep"], ["like"]),
        node("Neg", ["like"], ["unlike"]),
        node("Mul", ["away", "nought"], ["level"]),
        node("Add", ["level", "nine"], ["all"]),
        node("Add", ["level", "half"], ["unsure"]),
        node("Concat", ["all", "like", "unlike", "unsure"], [name], axis=axis),
    ]


def pair(folder: Path, kind: str) -> tuple[Path, Path]:
    """Files of an encoder and a decoder: ``square``, ``plain`` or ``batched``."""
    paths = folder / f"{kind}-encoder.onnx", folder / f"{kind}-decoder.onnx"
    parts = encoder(kind), batched_decoder() if kind == "batched" else decoder()
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part.SerializeToString())
    return paths
