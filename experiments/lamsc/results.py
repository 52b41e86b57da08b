"""Results of the experiments with segments and the LAM-SC family: one JSON a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from experiments.studies import files

FORMAT, VERSION = "semflash-lamsc", 1

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Row(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one arm reaches.

    Attributes:
        split: ``val`` or ``test``.
        arm: Of :mod:`experiments.lamsc.names`.
        images: How many.
        auc: Area under the curve of telling the target's pixels by their importance, mean over the images.
        pointing: Share of images whose most important place lies on the target.
        rate: Bytes of an image; 0: nothing is sent.
        sent: Bytes of an image as sent, mean.
        ber: Bit error rate of the channel.
        psnr, object_psnr: Of the whole picture and of the target, dB, mean over the images.
        ssim, object_ssim: Likewise.
        accuracy: Share of right labels.
    """

    split: str
    arm: str
    images: int
    auc: float = 0.0
    pointing: float = 0.0
    rate: int = 0
    sent: float = 0.0
    ber: float = 0.0
    psnr: float = 0.0
    object_psnr: float = 0.0
    ssim: float = 0.0
    object_ssim: float = 0.0
    accuracy: Share | None = None


class Result(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One finished job.

    Attributes:
        job: Its name, and that of the file.
        group, variant, seed: What it is.
        settings: Everything that decided it; digest: of them.
        rows: What the arms reach. figures: other numbers.
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
