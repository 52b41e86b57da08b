"""Results of the experiments with TOSC: one JSON a job, with what was right of every image, packed."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from experiments.studies import files
from semflash.errors import UsageError

FORMAT, VERSION = "semflash-tosc", 1
IMAGES_MAX = 1_000_000


class Row(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One measured accuracy.

    Attributes:
        split: ``val`` or ``test``.
        channel: ``awgn`` or ``rayleigh`` (level: SNR in dB), or ``bsc`` (level: bit error rate).
        level: of the channel.
        accuracy: share of right labels, all noise realisations together.
        images: of the split. repeats: noise realisations that each image met.
        told_error: what the decoder was told of the quality less the truth, dB.
        state_error: classes that the encoder's state was off, with the decoder told the state used.
        decoder_error: classes between the state that the decoder was told and the one that was used.
        kept: values that were sent; 0: all.
        right: in how many realisations each image was right, packed (:func:`pack`); empty: not kept.
    """

    split: str
    channel: str
    level: float
    accuracy: Annotated[float, Meta(ge=0.0, le=1.0)]
    images: int
    repeats: int = 1
    told_error: float = 0.0
    state_error: int = 0
    decoder_error: int = 0
    kept: int = 0
    right: str = ""

    def counts(self) -> np.ndarray:
        """Realisations in which each image was right, uint8 (images,). UsageError: not kept, or damaged."""
        return unpack(self.right, self.images, self.repeats)


class Result(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One finished job.

    Attributes:
        job: its name, and that of the file.
        group, variant, seed: what it is.
        settings: everything that decided it; digest: of them.
        rows: accuracies. figures: other numbers.
        seconds: of training, and of the job that wrote this, which may have found it trained; on one thread.
        versions: of the packages.
    """

    job: str
    group: str
    variant: str
    seed: int
    settings: dict[str, Any]
    digest: str
    rows: list[Row] = []
    figures: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    versions: dict[str, str] = {}
    format: str = FORMAT
    version: int = VERSION


def pack(counts: np.ndarray) -> str:
    """Small whole numbers 0..15, (n,), as text: two a byte, deflated, base64.

    >>> unpack(pack(np.array([0, 4, 3])), 3, 4).tolist()
    [0, 4, 3]
    """
    padded = np.zeros(-(-len(counts) // 2) * 2, np.uint8)
    padded[: len(counts)] = counts
    return base64.b64encode(zlib.compress((padded[::2] << 4 | padded[1::2]).tobytes(), 9)).decode()


def unpack(text: str, images: int, repeats: int) -> np.ndarray:
    """The numbers again, uint8 (images,).

    Raises:
        UsageError: it is not what :func:`pack` gives for as many images, none above `repeats`.
    """
    if not 0 < images <= IMAGES_MAX:
        raise UsageError("no number of images", value=images)
    size = -(-images // 2)
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise UsageError(f"packed counts are damaged: {error}", value=text[:40]) from error
    if len(data) != size or not inflate.eof or inflate.unused_data:
        raise UsageError(f"packed counts of {images} images are {size} bytes", value=len(data))
    pairs = np.frombuffer(data, np.uint8)
    counts = np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)[:images]
    if int(counts.max()) > repeats:
        raise UsageError(f"an image was right more than {repeats} times", value=int(counts.max()))
    return counts


def read(path: Path) -> Result:
    """Read one result. UsageError: unreadable, too large, or not a result of these experiments."""
    return files.read(path, Result, FORMAT, VERSION)


def read_all(folder: Path) -> dict[str, Result]:
    """Job's name -> result, by name."""
    return {path.stem: read(path) for path in sorted(folder.glob("[!.]*.json"))}
