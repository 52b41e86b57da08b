"""What a build checks of a device graph before it generates C: the contract, and the frames of the link."""

from __future__ import annotations

import math

import numpy as np

from semflash.bundle.reader import Bundle
from semflash.errors import ModelError
from semflash.link.frame import PAYLOAD_MAX
from semflash.link.messages import ROWS_HEADER
from semflash.program.tensors import Tensor as ProgramTensor
from semflash.program.tensors import Values
from semflash_codegen.ir import Tensor
from semflash_codegen.simplify import simplify
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.validate import validate


def check_frames(bundle: Bundle) -> None:
    """An image row, and the codes of an image, go over the link in one frame each.

    Raises:
        ModelError: one of the two is too large.
    """
    row_most = PAYLOAD_MAX - ROWS_HEADER.size
    _, width, channels = bundle.image_shape
    for what, size_bytes, most, remedy in (
        ("an image row", width * channels, row_most, "use narrower images, or fewer channels"),
        (
            "the codes of an image",
            bundle.payload_bytes,
            PAYLOAD_MAX,
            "use a smaller latent, or fewer centres",
        ),
    ):
        if size_bytes > most:
            raise ModelError(
                f"{what} must fit into one frame of the link: {most:,} bytes at most, "
                f"{size_bytes - most:,} too many",
                value=size_bytes,
                remedy=remedy,
            )


def check_ends(bundle: Bundle) -> None:
    """Each graph takes and gives the tensors that the program says: shape, scale and zero point.

    Raises:
        ModelError: it does not, or the file cannot be read.
    """
    for stage in bundle.program.graphs:
        model = simplify(read_model(bundle.models[stage.name]))
        validate(model)
        ends = (("input", model.inputs, stage.inputs), ("output", model.outputs, stage.outputs))
        for role, found, names in ends:
            if len(found) != len(names):
                raise ModelError(
                    f"graph {stage.name} has another number of {role}s than the bundle's contract says: "
                    f"{len(names)}",
                    value=len(found),
                    remedy="export the bundle again",
                )
            for index, name in zip(found, names, strict=True):
                _check_end(stage.name, role, model.tensors[index], bundle.program.tensor(name))


def _check_end(graph: str, role: str, tensor: Tensor, wanted: ProgramTensor) -> None:
    holds = wanted.holds
    if not isinstance(holds, Values):
        raise ModelError(f"the {role} of graph {graph} is a tensor of codes", value=wanted.name)
    found = (float(np.float32(tensor.scale)), tensor.zero_point)
    expected = (float(np.float32(holds.scale)), holds.zero_point)
    if not _same_shape(tensor, wanted.shape) or found != expected:
        raise ModelError(
            f"the {role} of graph {graph} is not what the bundle's contract says: "
            f"{wanted.shape}, scale {expected[0]:.6g}, zero point {holds.zero_point}",
            value=f"{tensor.shape[1:]}, scale {found[0]:.6g}, zero point {found[1]}",
            remedy="export the bundle again",
        )


def _same_shape(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """(1, h, w, c) is exact; a vector or a list of vectors has the same values in the same order."""
    if len(tensor.shape) == 4:
        return tensor.shape[1:] == shape
    return tensor.elements == math.prod(shape)
