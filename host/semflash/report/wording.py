"""The figure of merit in the report's words: accuracy, mAP@0.5 or PSNR."""

from __future__ import annotations

from typing import NamedTuple

from semflash.outputs.metrics import ACCURACY, MAP50, PSNR, Metric


class Words(NamedTuple):
    """Names of a figure of merit.

    Attributes:
        metric: What it is.
        name: within a sentence. title: at its start.
        interval: what the bars of a bundle are. note: what it is, for the lead; empty: everyone knows.
    """

    metric: Metric
    name: str
    title: str
    interval: str
    note: str = ""

    @property
    def slug(self) -> str:
        """In names of files."""
        return self.metric.name

    @property
    def axis(self) -> str:
        """Name and unit, for an axis or the head of a column."""
        sign = self.metric.sign
        return f"{self.name},{sign}" if sign else self.name

    @property
    def counted_in(self) -> str:
        """`` in percent``, `` in dB`` or nothing, behind the name."""
        unit = self.metric.unit_words
        return f" in {unit}" if unit else ""

    def number(self, value: float | None) -> str:
        """A value without its unit, or a dash."""
        return self.metric.number(value)

    def shown(self, value: float) -> float:
        """A value as it stands on an axis."""
        return self.metric.scale * value


#: By the name of the metric that a bundle's output has first.
WORDS = {
    ACCURACY.name: Words(ACCURACY, "accuracy", "Accuracy", "95 % interval of a bundle (Wilson)"),
    MAP50.name: Words(
        MAP50,
        "mAP@0.5",
        "mAP@0.5",
        "95 % interval of a bundle (100 bootstrap samples of the images)",
        "mAP@0.5 is the mean over classes of the average precision at an overlap (IoU) of 0.5 (pycocotools).",
    ),
    PSNR.name: Words(
        PSNR,
        "PSNR",
        "PSNR",
        "95 % interval of a bundle (1.96 standard errors of the mean over images)",
        "PSNR and SSIM compare pictures with the images that were sent, each as the mean over the images.",
    ),
}
