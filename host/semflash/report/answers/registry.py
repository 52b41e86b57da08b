"""The details of a report by the kind of output: the one place that tells them apart."""

from __future__ import annotations

from collections.abc import Callable

from semflash.report.answers import images, labels, objects
from semflash.report.answers.material import Material
from semflash.report.importance import Importance
from semflash.report.view import Details, Example

Measured = tuple[Details, list[Example], Importance | None]
DETAILS: dict[str, Callable[[Material], Measured]] = {
    "labels": labels.measured,
    "boxes": objects.measured,
    "anchors": objects.measured,
    "image": images.measured,
}


def details_of(material: Material) -> Measured:
    """Details of a bundle's answers, examples, and how the examples' importance was found."""
    return DETAILS[material.bundle.output.kind](material)
