"""What the code generator for devices knows (a test compares), and where a network goes beyond it."""

from __future__ import annotations

from collections.abc import Iterable

from semflash.tasks.keras.graph_cuts import Step, live_steps

#: Operators of int8 .tflite graphs, as in ``semflash_codegen.operators``.
DEVICE_OPERATORS = frozenset(
    (
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_TO_SPACE_ND",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PACK",
        "PAD",
        "PADV2",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RSQRT",
        "SHAPE",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TILE",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    )
)
#: ONNX operators that become others, or may.
_BEYOND = frozenset(
    (
        "Div",
        "Elu",
        "Exp",
        "HardSigmoid",
        "HardSwish",
        "Pow",
        "Sum",
    )
)
_SHOWN = 3


def beyond_device(operators: Iterable[str]) -> list[str]:
    """Those of an int8 graph that the device has not."""
    return sorted(set(operators) - DEVICE_OPERATORS)


def splits_within(
    steps: tuple[Step, ...], kinds: dict[str, str], image: str, splits: list[str], split: str
) -> list[str]:
    """The nearest splits before ``split`` that a device may be able to follow.

    Args:
        kinds: ONNX operator by the tensor that it makes.
        image: The input.
        splits: All, in execution order.
    """

    def follows(name: str) -> bool:
        live = live_steps(steps, image, name)
        return not any(kinds.get(output) in _BEYOND for step in live for output in step.outputs)

    until = splits[: splits.index(split)] if split in splits else splits
    return [name for name in until if follows(name)][-_SHOWN:]
