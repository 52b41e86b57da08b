"""Reading an ONNX network, checking it, and cutting it into head and tail at one tensor.

An ONNX file is data from strangers. Read are files up to a size, weights from beside the file only, operators
of the ONNX standard only; no function, subgraph or custom operator is taken, and nothing runs in this process
(:mod:`semflash.importing.onnx.convert` runs the converter in a child with limits).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, shape_inference
from onnx.utils import Extractor

from semflash.errors import TrainingError
from semflash.importing.device_operators import splits_within
from semflash.importing.onnx.beginning import beginning_of
from semflash.importing.onnx.output import names_in
from semflash.importing.onnx.softmax import take_off_softmax
from semflash.runtime.onnx_file import EXTERNAL_BYTES_MAX, load_onnx, node_name
from semflash.tasks.keras.graph_cuts import Step, check_cut, single_cuts, unknown_name
from semflash.tasks.keras.input_range import Beginning

SIDE_MAX = 2_048

#: Operators that become Keras layers, and those that only compute shapes and vanish.
CONVERTED = frozenset(
    (
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Div",
        "Dropout",
        "Elu",
        "Exp",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "MatMul",
        "MaxPool",
        "Mul",
        "Pad",
        "Pow",
        "PRelu",
        "ReduceMax",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Resize",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Split",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    )
)
SHAPE_ARITHMETIC = frozenset(("Cast", "Constant", "ConstantOfShape", "Gather", "Range", "Shape"))


@dataclass(frozen=True)
class OnnxNetwork:
    """A checked ONNX classifier or detector for a batch of one.

    Attributes:
        model: Shapes inferred, a softmax at its end taken off.
        image: Name of its input.
        channels_first: (1, C, H, W), else (1, H, W, C).
        image_shape: (H, W, C).
        logits: Name of its output.
        result_shape: (1, classes), or a detector's of three sides (:mod:`semflash.importing.onnx.output`).
        steps: Its nodes for :mod:`semflash.tasks.keras.graph_cuts`.
        shapes: Tensor -> shape, where it is known.
    """

    model: Any
    image: str
    channels_first: bool
    image_shape: tuple[int, int, int]
    logits: str
    result_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    shapes: dict[str, tuple[int, ...]]

    def split_points(self) -> list[tuple[str, tuple[int, ...]]]:
        """Tensors at which it can be cut, and their shapes (C, h, w)."""
        names = single_cuts(self.steps, self.image, self.logits)
        return [(name, self.shapes[name][1:]) for name in names if len(self.shapes.get(name, ())) == 4]

    def ambiguous(self) -> list[str]:
        """Maps with as many channels as rows and columns: onnx2tf tells axes by their lengths."""
        return [
            name
            for name, shape in self.shapes.items()
            if len(shape) == 4 and len(set(shape[1:])) == 1 and shape[1] > 1
        ]

    def find(self, split: str, how_to_list: str) -> str:
        """The tensor that a split names (or the node that makes it), checked.

        Raises:
            TrainingError: no such tensor, a cut that is not single, or no map.
        """
        tensors = {name for step in self.steps for name in step.outputs}
        nodes = {step.name: step.outputs[0] for step in self.steps}
        name = split if split in tensors else nodes.get(split, "")
        if not name:
            raise unknown_name(split, sorted(tensors | set(nodes)), how_to_list)
        check_cut(self.steps, self.image, self.logits, name)
        if len(self.shapes.get(name, ())) != 4:
            raise TrainingError(
                "features are maps (1, channels, h, w) of a fixed size",
                value=f"{name}: {self.shapes.get(name, 'unknown shape')}",
                remedy=f"{how_to_list} lists those that are",
            )
        return name

    def beginning(self, split: str) -> Beginning:
        """What it does to its image before its first weights; ``tensor``: the name of what that gives."""
        channels = self.image_shape[2]
        return beginning_of(self.model, self.image, channels, channels_first=self.channels_first, until=split)

    def device_splits(self, split: str) -> list[str]:
        """The nearest split points before one whose heads a device may be able to follow."""
        kinds = {name: node.op_type for node in self.model.graph.node for name in node.output}
        names = [name for name, _ in self.split_points()]
        return splits_within(self.steps, kinds, self.image, names, split)

    def class_names(self) -> tuple[str, ...]:
        """Those that stand in the file; () if none. TrainingError: they cannot be read."""
        return names_in(self.model)

    def part(self, source: str, result: str) -> Any:
        """The model between two tensors."""
        return Extractor(self.model).extract_model([source], [result])

    def with_output(self, name: str) -> Any:
        """The whole model with a tensor as a second output."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        model.graph.output.append(_value_info(name, self.shapes[name]))
        return model


def read_onnx(path: Path, size: tuple[int, int] | None = None) -> OnnxNetwork:
    """Read and check a network.

    Args:
        size: height and width of the image, for a file that leaves them open.

    Raises:
        TrainingError: missing, damaged, too large, not one image in, no vector and no detector's boxes out, a
            softmax at the end that is not over the classes, or an operator in it does not convert; the
            message names operator and node.
    """
    model = load_onnx(path, check_operators, external_max=EXTERNAL_BYTES_MAX)
    known = {value.name for value in (*model.graph.initializer, *model.graph.sparse_initializer)}
    inputs = [value for value in model.graph.input if value.name not in known]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise TrainingError(
            "a task network has one input and one output",
            value=f"{len(inputs)}, {len(model.graph.output)}",
            remedy="export a detector with its boxes and scores in one tensor (docs/networks.md)",
        )
    channels_first, image_shape = _fix_image(inputs[0], size)
    take_off_softmax(model)
    model = _inferred(model, path)
    shapes = _shapes(model)
    logits = model.graph.output[0].name
    shape = shapes.get(logits, ())
    if len(shape) not in (2, 3) or shape[0] != 1:
        raise TrainingError(
            "a classifier gives (1, classes), a detector (1, 4+classes, anchors) or (1, anchors, 5+classes)",
            value=f"{logits}: {shape or 'unknown'}",
            remedy="docs/networks.md says how detectors are exported",
        )
    return OnnxNetwork(
        model, inputs[0].name, channels_first, image_shape, logits, shape, _steps(model, known), shapes
    )


def check_operators(model: Any) -> None:
    """TrainingError: an operator has no counterpart; the message names operator and node."""
    for index, node in enumerate(model.graph.node):
        if node.op_type not in CONVERTED | SHAPE_ARITHMETIC:
            raise TrainingError(
                f"the ONNX operator {node.op_type} does not convert",
                value=f"node {node_name(node, index)}",
                remedy="export the network with other operators in its place (docs/networks.md lists them)",
            )


def _fix_image(value: Any, size: tuple[int, int] | None) -> tuple[bool, tuple[int, int, int]]:
    """Set batch 1 and, where they are open, height and width; whether channels stand first, and (H, W, C)."""
    kind = value.type.tensor_type
    dims = [dim.dim_value for dim in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or len(dims) != 4:
        raise TrainingError(
            "the input is one float32 image with four dimensions", value=f"{value.name} {dims}"
        )
    first = dims[1] in (1, 3)
    if not first and dims[3] not in (1, 3):
        raise TrainingError("images have 1 or 3 channels", value=f"{value.name} {dims}")
    rows = 2 if first else 1
    for axis, wanted in zip((rows, rows + 1), size or (0, 0), strict=True):
        if dims[axis] <= 0 and not wanted:
            raise TrainingError(
                "the file leaves the image size open",
                value=value.name,
                remedy="--size 32x32 (height x width)",
            )
        dims[axis] = dims[axis] if dims[axis] > 0 else wanted
    if size and tuple(dims[rows : rows + 2]) != tuple(size):
        raise TrainingError("the file takes images of another size", value=f"{dims[rows]}x{dims[rows + 1]}")
    if max(dims[rows : rows + 2]) > SIDE_MAX:
        raise TrainingError(f"the image is larger than {SIDE_MAX} pixels", value=dims)
    dims[0] = 1
    for dim, number in zip(kind.shape.dim, dims, strict=True):
        dim.dim_value = number
    return first, (dims[rows], dims[rows + 1], dims[1] if first else dims[3])


def _inferred(model: Any, path: Path) -> Any:
    del model.graph.value_info[:]  # written for another batch; torch writes those of weights there as well
    try:
        return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # InferenceError is no public type
        raise TrainingError(
            f"the shapes of the network do not fit together: {str(error)[:200]}", value=path.name
        ) from error


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        if value.type.tensor_type.HasField("shape"):
            shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            if all(side > 0 for side in shape):
                shapes[value.name] = shape
    return shapes


def _steps(model: Any, constants: set[str]) -> tuple[Step, ...]:
    return tuple(
        Step(
            node_name(node, index),
            tuple(name for name in node.input if name and name not in constants),
            tuple(name for name in node.output if name),
        )
        for index, node in enumerate(model.graph.node)
    )


def _value_info(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
