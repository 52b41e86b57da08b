"""How SAM's ONNX files are asked: which of the exports that are in use a pair of files is.

Kirillov et al., "Segment Anything" (arXiv 2304.02643). Encoder: an image to embeddings. Decoder: embeddings
and a point to masks and their predicted IoU. The names of inputs tell the exports apart:

    encoder (1, 3, S, S)           of SAM and MobileSAM: normalised, filled up to a square below and right
    encoder (H, W, 3)              with the normalisation inside, 0..255
    encoder batched_images         of EfficientSAM, (1, 3, H, W) in 0..1
    decoder point_coords           of SAM and MobileSAM: one point at a time
    decoder batched_point_coords   of EfficientSAM: all points at once
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semflash.errors import SegmentError
from semflash.segments.networks import Interface, Networks, Value
from semflash.segments.saliency import stretched

ENCODER, DECODER = "encoder", "decoder"
#: Longer side at which SAM sees an image where its file leaves it open, pixels.
SIDE = 1_024
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
#: Points of one run of EfficientSAM's decoder.
_QUERIES = 64
_LOW_SIDE = 256


@dataclass(frozen=True)
class Answer:
    """Masks of one image.

    Attributes:
        masks: logits, above 0 inside, float32 (n, H, W).
        quality: predicted IoU of each, float32 (n,).
    """

    masks: np.ndarray
    quality: np.ndarray


class SamFiles:
    """A pair of files that has been looked at.

    Args:
        networks: with ``encoder`` and ``decoder``, started.
        side: longer side of an image where the encoder leaves it open, pixels; 0: 1,024.

    Raises:
        SegmentError: they are no such pair.
    """

    def __init__(self, networks: Networks, side: int = 0) -> None:
        self._networks = networks
        encoder, decoder = (networks.interfaces[name] for name in (ENCODER, DECODER))
        self._image = _only(encoder)
        self._embeddings = encoder.outputs[0].name
        shape = self._image.shape
        self._batched = self._image.name == "batched_images"
        self._plain = len(shape) == 3 and shape[2] in (0, 3)
        if not self._plain and not (len(shape) == 4 and shape[1] in (0, 3)):
            raise _no_pair("the encoder takes no image", encoder)
        fixed = 0 if self._plain else max(shape[2:])
        if side and fixed and side != fixed:
            raise SegmentError("the encoder takes images of another side", value=f"{fixed}, {side} asked")
        self._side = fixed or side or SIDE
        names = {one.name: one for one in decoder.inputs}
        prefix = "batched_" if "batched_point_coords" in names else ""
        self._points, self._labels = f"{prefix}point_coords", f"{prefix}point_labels"
        if not {"image_embeddings", self._points, self._labels, "orig_im_size"} <= set(names):
            raise _no_pair("the decoder lacks inputs of SAM's", decoder)
        self._size_type = np.int64 if names["orig_im_size"].type == "tensor(int64)" else np.float32
        self._more = {"mask_input", "has_mask_input"} & set(names)
        outputs = [one.name for one in decoder.outputs]
        masks = next((name for name in ("masks", "output_masks") if name in outputs), None)
        if masks is None or "iou_predictions" not in outputs:
            raise _no_pair("the decoder lacks outputs of SAM's", decoder)
        self._wanted = (masks, "iou_predictions")

    def masks_at(self, image: np.ndarray, points: np.ndarray) -> Answer:
        """Masks of all points (n, 2), x and y in pixels of the image uint8 (H, W, 1 or 3)."""
        height, width = image.shape[:2]
        scale = self._side / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        (embeddings,) = self._networks.run(
            ENCODER, {self._image.name: self._given(stretched(image, size))}, [self._embeddings]
        )
        placed = (points * (size[1] / width, size[0] / height)).astype(np.float32)
        ask = self._ask_batched if self._points.startswith("batched") else self._ask_one
        parts = ask(embeddings, placed, size)
        masks = np.concatenate([part[0] for part in parts])
        if masks.shape[1:] != size:
            raise SegmentError("the decoder's masks have another size than asked", value=masks.shape)
        rows = ((np.arange(height) + 0.5) * size[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * size[1] / width).astype(int)
        return Answer(masks[:, rows[:, None], columns], np.concatenate([part[1] for part in parts]))

    def _given(self, large: np.ndarray) -> np.ndarray:
        """An enlarged image as the encoder takes it."""
        if self._plain:
            return large
        if self._batched:
            return np.ascontiguousarray(large.transpose(2, 0, 1)[None] / 255, np.float32)
        values = ((large - MEAN) / STD).transpose(2, 0, 1)
        filled = np.zeros((1, 3, self._side, self._side), np.float32)
        filled[0, :, : values.shape[1], : values.shape[2]] = values
        return filled

    def _ask_one(
        self, embeddings: np.ndarray, points: np.ndarray, size: tuple[int, int]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """One point at a time; the second point is the padding that SAM's exports want."""
        found = []
        for point in points:
            fed = {
                "image_embeddings": embeddings,
                self._points: np.stack([point, np.zeros(2, np.float32)])[None].astype(np.float32),
                self._labels: np.array([[1, -1]], np.float32),
                "orig_im_size": np.array(size, self._size_type),
            }
            if "mask_input" in self._more:
                fed["mask_input"] = np.zeros((1, 1, _LOW_SIDE, _LOW_SIDE), np.float32)
            if "has_mask_input" in self._more:
                fed["has_mask_input"] = np.zeros(1, np.float32)
            masks, quality = self._networks.run(DECODER, fed, self._wanted)
            found.append(_masks(masks, quality))
        return found

    def _ask_batched(
        self, embeddings: np.ndarray, points: np.ndarray, size: tuple[int, int]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Many points at a time."""
        found = []
        for start in range(0, len(points), _QUERIES):
            some = points[start : start + _QUERIES]
            fed = {
                "image_embeddings": embeddings,
                self._points: some[None, :, None].astype(np.float32),
                self._labels: np.ones((1, len(some), 1), np.float32),
                "orig_im_size": np.array(size, self._size_type),
            }
            masks, quality = self._networks.run(DECODER, fed, self._wanted)
            if masks.ndim != 5 or quality.shape != masks.shape[:3]:
                raise _odd(masks, quality)
            found += [_masks(one[None], each[None]) for one, each in zip(masks[0], quality[0], strict=True)]
        return found


def _masks(masks: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks (m, H, W) and qualities (m,) of one point. Of four masks the first is that of several points,
    which is of no use for one."""
    if masks.ndim != 4 or masks.shape[0] != 1 or quality.shape != masks.shape[:2] or not masks.shape[1]:
        raise _odd(masks, quality)
    first = 1 if masks.shape[1] == 4 else 0
    return masks[0, first:], quality[0, first:]


def _odd(masks: np.ndarray, quality: np.ndarray) -> SegmentError:
    return SegmentError("the decoder's outputs are not SAM's", value=f"{masks.shape} and {quality.shape}")


def _only(encoder: Interface) -> Value:
    if len(encoder.inputs) != 1 or encoder.inputs[0].type != "tensor(float)":
        raise _no_pair("the encoder takes one float32 image", encoder)
    return encoder.inputs[0]


def _no_pair(what: str, found: Interface) -> SegmentError:
    return SegmentError(
        what,
        value="; ".join(f"{one.name} {one.type} {one.shape}" for one in (*found.inputs, *found.outputs)),
        remedy="encoder and decoder of SAM, MobileSAM or EfficientSAM as ONNX",
    )
