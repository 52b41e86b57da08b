"""Names of the kinds of task networks, as recipes have them; imports nothing, so that recipes stay light."""

from __future__ import annotations

RESIDUAL, DETECTOR, KERAS, ONNX = "residual", "detector", "keras", "onnx"
