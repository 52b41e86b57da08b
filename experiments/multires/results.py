"""Results of the experiments with patches of several resolutions: one JSON a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from experiments.studies import files

FORMAT, VERSION = "semflash-multires", 1

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Row(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one way to spend the bits reaches at one rate.

    Attributes:
        split: ``val`` or ``test``.
        arm: Of :mod:`experiments.multires.names`.
        rate: Bytes of an image.
        accuracy: Share of right labels.
        images: How many.
        mse: Mean squared error over the image, in units of 1/255 squared.
        object_mse: Over the patches that the object touches.
        bits: Mean bits of an image as sent; 0: not counted.
        ber: Bit error rate of the channel.
        protected: Whether the map is protected.
        lost: Share of images whose map did not pass its check.
    """

    split: str
    arm: str
    rate: int
    accuracy: Share
    images: int
    mse: float = 0.0
    object_mse: float = 0.0
    bits: float = 0.0
    ber: float = 0.0
    protected: bool = False
    lost: float = 0.0


class Result(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One finished job.

    Attributes:
        job: Its name, and that of the file.
        group, variant, seed: What it is.
        settings: Everything that decided it; digest: of them.
        rows: Accuracies and errors. figures: other numbers.
        seconds: Of training, and of the job that wrote this.
        versions: Of the packages.
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


def read(path: Path) -> Result:
    """Read one result. UsageError: unreadable, too large, or of other experiments."""
    return files.read(path, Result, FORMAT, VERSION)
