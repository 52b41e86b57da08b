"""What the published networks take, as numbers: it imports nothing, so that recipes stay light."""

from __future__ import annotations

from typing import Any

#: (mean, std, blue first) by the names that keras.applications uses for them.
PRESETS: dict[str, tuple[tuple[float, ...], tuple[float, ...], bool]] = {
    "tf": ((0.5,), (0.5,), False),
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False),
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,), True),
}


def preset(name: str) -> dict[str, Any]:
    """Fields ``mean``, ``std`` and ``bgr`` of a recipe."""
    mean, std, bgr = PRESETS[name]
    return {"mean": mean, "std": std, "bgr": bgr}


#: Weights that come with semflash for the network ``residual`` with widths 16, 32, 64 to begin with
#: (:mod:`semflash.tasks.start`): what they learnt, for people.
STARTS = {"objects-64": "64x64 colour images of things in 25 classes (benchmarks/start_network.py)"}
