"""Options of operators by the names that tensorflow/lite/schema/schema.fbs gives them.

The operators of the generator read them by number (operators/*.py); who follows whole networks with many
operators, as the import does, reads them by name.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from semflash_codegen.errors import MalformedModelError
from semflash_codegen.ir import Operator
from semflash_codegen.schema import Options


class Field(NamedTuple):
    """Where an option lies.

    Attributes:
        number: Of the field in its table.
        code: Its type, as :mod:`struct` writes it.
        default: What an absent field means.
    """

    number: int
    code: str
    default: int = 0


_ACTIVATION = "fused_activation_function"
_WINDOW = {"padding": Field(0, "<b"), "stride_w": Field(1, "<i"), "stride_h": Field(2, "<i")}

#: The options that anybody asks for, by the tag of their union.
FIELDS: dict[int, dict[str, Field]] = {
    Options.CONV_2D: _WINDOW
    | {
        _ACTIVATION: Field(3, "<b"),
        "dilation_w_factor": Field(4, "<i", 1),
        "dilation_h_factor": Field(5, "<i", 1),
    },
    Options.DEPTHWISE_CONV_2D: _WINDOW
    | {
        "depth_multiplier": Field(3, "<i"),
        _ACTIVATION: Field(4, "<b"),
        "dilation_w_factor": Field(5, "<i", 1),
        "dilation_h_factor": Field(6, "<i", 1),
    },
    Options.POOL_2D: _WINDOW
    | {"filter_width": Field(3, "<i"), "filter_height": Field(4, "<i"), _ACTIVATION: Field(5, "<b")},
    Options.FULLY_CONNECTED: {_ACTIVATION: Field(0, "<b"), "keep_num_dims": Field(2, "<b")},
    Options.CONCATENATION: {"axis": Field(0, "<i"), _ACTIVATION: Field(1, "<b")},
    Options.ADD: {_ACTIVATION: Field(0, "<b")},
    Options.MUL: {_ACTIVATION: Field(0, "<b")},
    Options.REDUCER: {"keep_dims": Field(0, "<b")},
    Options.SUB: {_ACTIVATION: Field(0, "<b")},
    Options.DIV: {_ACTIVATION: Field(0, "<b")},
    Options.STRIDED_SLICE: {
        "begin_mask": Field(0, "<i"),
        "end_mask": Field(1, "<i"),
        "ellipsis_mask": Field(2, "<i"),
        "new_axis_mask": Field(3, "<i"),
        "shrink_axis_mask": Field(4, "<i"),
        "offset": Field(5, "<b"),
    },
    Options.SPLIT: {"num_splits": Field(0, "<i")},
    Options.TRANSPOSE_CONV: _WINDOW | {_ACTIVATION: Field(3, "<b")},
    Options.GATHER: {"axis": Field(0, "<i"), "batch_dims": Field(1, "<i")},
    Options.PACK: {"values_count": Field(0, "<i"), "axis": Field(1, "<i")},
    Options.RESIZE_NEAREST_NEIGHBOR: {"align_corners": Field(0, "<b")},
    Options.LEAKY_RELU: {"alpha": Field(0, "<I")},
    Options.BATCH_MATMUL: {"adj_x": Field(0, "<b"), "adj_y": Field(1, "<b")},
}


def option(op: Operator, name: str) -> int:
    """A whole number or truth (0 or 1) among an operator's options.

    Raises:
        MalformedModelError: The operator has no options, or those of another operator.
    """
    field = FIELDS.get(op.options_type, {}).get(name)
    if op.options is None or field is None:
        raise MalformedModelError(
            f"layer {op.index} {op.name} lacks its option {name}",
            value=op.options_type,
            remedy="export the model again",
        )
    return op.options.integer(field.number, field.code, field.default)


def real_option(op: Operator, name: str) -> float:
    """A float32 among an operator's options. Raises as :func:`option` does."""
    value: float = struct.unpack("<f", struct.pack("<I", option(op, name)))[0]
    return value


def fused_activation(op: Operator) -> int:
    """Number of the fused :class:`~semflash_codegen.schema.Activation`; 0 where there is none."""
    has_one = op.options is not None and _ACTIVATION in FIELDS.get(op.options_type, {})
    return option(op, _ACTIVATION) if has_one else 0
