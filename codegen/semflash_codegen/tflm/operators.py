"""What TensorFlow Lite Micro calls an operator, which of its sources hold the kernel, and what it asks for.

Names as in tensorflow/lite/micro/micro_mutable_op_resolver.h and tensorflow/lite/micro/kernels/.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from semflash_codegen.ir import Model, Operator


@dataclass(frozen=True)
class TflmOperator:
    """One operator of TFLM.

    Attributes:
        add: method of MicroMutableOpResolver.
        stems: its kernel's sources are STEM.cc, STEM_common.cc and cmsis_nn/STEM.cc, as far as they exist.
        cmsis_nn: folders of CMSIS-NN's Source/ that its kernel calls into.
        symbol: the CMSIS-NN convolution that must be linked, if it is one.
    """

    add: str
    stems: tuple[str, ...]
    cmsis_nn: tuple[str, ...] = ()
    symbol: str = ""


_SUPPORT = "NNSupportFunctions"
_CONVOLUTION = ("ConvolutionFunctions", "FullyConnectedFunctions", _SUPPORT)

OPERATORS: dict[str, TflmOperator] = {
    "ADD": TflmOperator("AddAdd", ("add",), ("BasicMathFunctions", _SUPPORT)),
    "AVERAGE_POOL_2D": TflmOperator("AddAveragePool2D", ("pooling",), ("PoolingFunctions", _SUPPORT)),
    "BATCH_TO_SPACE_ND": TflmOperator("AddBatchToSpaceNd", ("batch_to_space_nd",)),
    "CONCATENATION": TflmOperator("AddConcatenation", ("concatenation",)),
    "CONV_2D": TflmOperator("AddConv2D", ("conv",), _CONVOLUTION, "arm_convolve_wrapper_s8"),
    "DEPTHWISE_CONV_2D": TflmOperator(
        "AddDepthwiseConv2D", ("depthwise_conv", "conv"), _CONVOLUTION, "arm_depthwise_conv_wrapper_s8"
    ),
    "DEPTH_TO_SPACE": TflmOperator("AddDepthToSpace", ("depth_to_space",)),
    "EXPAND_DIMS": TflmOperator("AddExpandDims", ("expand_dims",)),
    "FULLY_CONNECTED": TflmOperator(
        "AddFullyConnected", ("fully_connected",), (*_CONVOLUTION, "BasicMathFunctions")
    ),
    "HARD_SWISH": TflmOperator("AddHardSwish", ("hard_swish",)),
    "LEAKY_RELU": TflmOperator("AddLeakyRelu", ("leaky_relu",)),
    "LOGISTIC": TflmOperator("AddLogistic", ("logistic",)),
    "MAX_POOL_2D": TflmOperator("AddMaxPool2D", ("pooling",), ("PoolingFunctions", _SUPPORT)),
    "MEAN": TflmOperator("AddMean", ("reduce",)),
    "MUL": TflmOperator("AddMul", ("mul",), ("BasicMathFunctions", _SUPPORT)),
    "PACK": TflmOperator("AddPack", ("pack",)),
    "PAD": TflmOperator("AddPad", ("pad",), ("PadFunctions", _SUPPORT)),
    "PADV2": TflmOperator("AddPadV2", ("pad",), ("PadFunctions", _SUPPORT)),
    "PRELU": TflmOperator("AddPrelu", ("prelu",)),
    "QUANTIZE": TflmOperator("AddQuantize", ("quantize",)),
    "REDUCE_MAX": TflmOperator("AddReduceMax", ("reduce",)),
    "RELU": TflmOperator("AddRelu", ("activations",)),
    "RELU6": TflmOperator("AddRelu6", ("activations",)),
    "RESHAPE": TflmOperator("AddReshape", ("reshape",)),
    "RESIZE_BILINEAR": TflmOperator("AddResizeBilinear", ("resize_bilinear",)),
    "RESIZE_NEAREST_NEIGHBOR": TflmOperator("AddResizeNearestNeighbor", ("resize_nearest_neighbor",)),
    "RSQRT": TflmOperator("AddRsqrt", ("elementwise",)),
    "SHAPE": TflmOperator("AddShape", ("shape",)),
    "SLICE": TflmOperator("AddSlice", ("slice",)),
    "SOFTMAX": TflmOperator("AddSoftmax", ("softmax",), ("SoftmaxFunctions", _SUPPORT)),
    "SPACE_TO_BATCH_ND": TflmOperator("AddSpaceToBatchNd", ("space_to_batch_nd",)),
    "SPACE_TO_DEPTH": TflmOperator("AddSpaceToDepth", ("space_to_depth",)),
    "SPLIT": TflmOperator("AddSplit", ("split",)),
    "SPLIT_V": TflmOperator("AddSplitV", ("split_v",)),
    "SQUEEZE": TflmOperator("AddSqueeze", ("squeeze",)),
    "STRIDED_SLICE": TflmOperator("AddStridedSlice", ("strided_slice",)),
    "SUB": TflmOperator("AddSub", ("sub",)),
    "TANH": TflmOperator("AddTanh", ("tanh",)),
    "TRANSPOSE": TflmOperator("AddTranspose", ("transpose",), ("TransposeFunctions", _SUPPORT)),
    "TRANSPOSE_CONV": TflmOperator(
        "AddTransposeConv", ("transpose_conv", "conv"), (*_CONVOLUTION, "TransposeFunctions")
    ),
}


def kernel_stems(operators: tuple[str, ...]) -> tuple[str, ...]:
    """Stems of the kernel sources of these operators, each once, sorted.

    >>> kernel_stems(("CONV_2D", "RELU", "CONV_2D"))
    ('activations', 'conv')
    """
    return tuple(sorted({stem for name in operators for stem in OPERATORS[name].stems}))


def cmsis_nn_folders(operators: tuple[str, ...]) -> tuple[str, ...]:
    """Folders of CMSIS-NN's Source/ these operators call into, sorted."""
    return tuple(sorted({folder for name in operators for folder in OPERATORS[name].cmsis_nn}))


def convolution_symbols(operators: tuple[str, ...]) -> tuple[str, ...]:
    """CMSIS-NN convolutions that must be in the linked image.

    >>> convolution_symbols(("CONV_2D", "RELU"))
    ('arm_convolve_wrapper_s8',)
    """
    return tuple(sorted({OPERATORS[name].symbol for name in operators} - {""}))


def scratch_bytes(model: Model, op: Operator) -> int:
    """Upper bound of the arena bytes CMSIS-NN's kernel takes as scratch on a core without MVE.

    The host's reference kernels take none. Source: CMSIS-NN, *_get_buffer_sizes_s8.c.
    """
    if op.name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return 4 * model.tensors[op.outputs[0]].shape[-1]
    if op.name == "FULLY_CONNECTED":
        return 8 * model.tensors[op.inputs[1]].shape[0]
    if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        weights = model.tensors[op.inputs[1]]
        taps = prod(weights.shape[1:])
        return 4 * (-(-taps // 4) * 4)
    if op.name == "TRANSPOSE_CONV":
        weights, output = model.tensors[op.inputs[1]], model.tensors[op.outputs[0]]
        rows = (output.shape[2] + weights.shape[2]) * output.shape[3] * 4 * weights.shape[1]
        return max(rows, 4 * prod(weights.shape[1:]) + 16) + weights.elements
    return 0
