"""Readable layer names from the tensor names of TensorFlow's converter.

A tensor is named after everything that was fused into it: ``functional_1/conv2d_1/Relu;functional_1/conv2d_1/
convolution`` is the layer ``conv2d_1``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SCOPE = re.compile(
    r"(model|functional|sequential|encoder_graph|Identity|(Stateful)?PartitionedCall)(_int8)?(_\d+)?(:\d+)?"
)
_OPERATION = re.compile(
    r"(Add(V2)?|add|AvgPool|batchnorm|BiasAdd|Conv2D|Conv2DBackpropInput|conv_transpose|convolution|concat|depthwise"
    r"|DepthwiseConv2dNative|ExpandDims|FusedBatchNormV3|MatMul|MaxPool2d|MaxPool|Mean|Mul|mul|Pad(V2)?|Relu6?"
    r"|ReadVariableOp|resource|Reshape|ResizeBilinear|resize|Rsqrt|shape|Shape|Softmax|Squeeze|strided_slice|Sub|sub"
    r"|Tensordot)(_?\d+)?"
)
_SERVING = re.compile(r"^serving_default_|:\d+$")
_HELPER = re.compile(r"(activation|batch_normalization|dropout|re_?lu|relu6)(_\d+)?")


def layer_name(text: str, otherwise: str) -> str:
    """The layer that a tensor belongs to; `otherwise` where its name does not say.

    >>> layer_name("functional_1/conv2d_1/Relu;functional_1/conv2d_1/convolution", "conv_2d")
    'conv2d_1'
    >>> layer_name("model/activation_2/Relu;model/add/add", "add"), layer_name("model/dense/BiasAdd", "")
    ('add', 'dense')
    >>> layer_name("StatefulPartitionedCall:0", "softmax"), layer_name("serving_default_image:0", "input")
    ('softmax', 'image')
    """
    layers = [layer for layer in map(_layer, _SERVING.sub("", text).split(";")) if layer]
    main = [layer for layer in layers if not _HELPER.fullmatch(layer)]
    return (main or layers or [otherwise])[0]


def _layer(path: str) -> str:
    """The layer in one path ``scope/block/layer/operation``, "" where there is none."""
    parts = [part for part in path.split("/") if part]
    if len(parts) > 1 and _SCOPE.fullmatch(parts[0]):
        del parts[0]
    while len(parts) > 1 and _OPERATION.fullmatch(parts[-1]):
        if parts.pop() == parts[-1]:
            break  # a layer named like its operation
    return parts[-1] if parts and not _SCOPE.fullmatch(parts[-1]) else ""


def unique(names: Sequence[str]) -> list[str]:
    """The names with a number behind those that occur before; never two alike.

    >>> unique(["conv2d", "add", "conv2d", "conv2d_2", "conv2d"])
    ['conv2d', 'add', 'conv2d_3', 'conv2d_2', 'conv2d_4']
    """
    taken, result, count = set(names), list[str](), dict[str, int]()
    seen: set[str] = set()
    for name in names:
        fresh = name
        while fresh in seen:
            count[name] = count.get(name, 1) + 1
            candidate = f"{name}_{count[name]}"
            fresh = name if candidate in taken else candidate
        seen.add(fresh)
        taken.add(fresh)
        result.append(fresh)
    return result
