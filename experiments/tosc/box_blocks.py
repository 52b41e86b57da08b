"""Tables of the second task, each made of results alone."""

from __future__ import annotations

from experiments.markdown import table
from experiments.tosc.blocks import by_level
from experiments.tosc.names import MEAN_OF, SNRS
from experiments.tosc.reading import Material, less, over, points

VARIANTS = ("distilled", "undistilled")


def boxes(material: Material) -> str:
    """mAP by ratio, what the teacher is worth, and the teacher itself."""
    parts = [by_level(material, "boxes", VARIANTS, SNRS, ["boxes-*"]), differences(material)]
    return "\n\n".join(part for part in (*parts, detector(material)) if part)


def differences(material: Material) -> str:
    """Distilled less undistilled, of the seeds that both have; empty: there is none."""
    one, other = (material.curve("boxes", variant) for variant in VARIANTS)
    rows = []
    for title, levels in (("mean", MEAN_OF), *((f"{level:g} dB", (level,)) for level in SNRS)):
        found = less(over(one, levels), over(other, levels))
        if found:
            each = ", ".join(f"{100 * value:+.2f}" for value in found.values())
            rows.append([title, points(found), each])
    return table(["distilled less undistilled, SNR", "points", "seed by seed"], rows) if rows else ""


def detector(material: Material) -> str:
    """mAP of the teacher without a channel, and the bytes of both; empty: it was not measured."""
    found = material.figures("boxes", "teacher").get(0)
    if found is None:
        return ""
    text = (
        f"Teacher: mAP {100 * found['map50']['test']:.2f} % on the test images, no channel between; "
        f"{found['weights_bytes']:,} bytes of weights."
    )
    for figures in material.figures("boxes", "distilled").values():
        counts = figures["parameters"]
        device = sum(counts.get(name, 0) for name in ("encoder", "projection", "adaptation"))
        return f"{text} Student: {device:,} weights on the device, {counts['decoder']:,} on the edge."
    return text
