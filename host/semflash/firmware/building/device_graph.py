"""What a build checks of a device graph before it generates C: the contract, and the frames of the link."""

from __future__ import annotations

import numpy as np

from semflash.bundle.reader import Bundle
from semflash.errors import ModelError
from semflash.link.frame import PAYLOAD_MAX
from semflash.link.messages import ROWS_HEADER
from semflash_codegen.errors import CodegenError
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
    """The graph takes the contract's image and gives its latent: shape, scale and zero point.

    Raises:
        ModelError: it does not, or the file cannot be read.
    """
    image, graph = bundle.contract.input, bundle.contract.device_graphs[0]
    try:
        model = simplify(read_model(bundle.encoder_tflite))
        validate(model)
        source, output = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
        for role, tensor, shape, scale, zero_point in (
            ("input", source, bundle.image_shape, image.scale, image.zero_point),
            ("output", output, bundle.latent_shape, graph.scale, graph.zero_point),
        ):
            found = (float(np.float32(tensor.scale)), tensor.zero_point)
            wanted = (float(np.float32(scale)), zero_point)
            if not _same_shape(tensor, shape) or found != wanted:
                raise ModelError(
                    f"the {role} of {graph.model.file} is not what the bundle's contract says: "
                    f"{shape}, scale {wanted[0]:.6g}, zero point {zero_point}",
                    value=f"{tensor.shape[1:]}, scale {found[0]:.6g}, zero point {found[1]}",
                    remedy="export the bundle again",
                )
    except CodegenError as error:
        raise ModelError(error.what, value=error.value, remedy=error.remedy) from error


def _same_shape(tensor: Tensor, shape: tuple[int, int, int]) -> bool:
    """(1, h, w, c) is exact; a vector or a list of vectors has the same values in the same order."""
    if len(tensor.shape) == 4:
        return tensor.shape[1:] == shape
    return tensor.elements == shape[0] * shape[1] * shape[2]
