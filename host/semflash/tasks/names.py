"""Names of the task networks, as recipes have them, and of output layers, by which a tail says what it gives.

It imports nothing, so that recipes stay light.
"""

from __future__ import annotations

RESIDUAL, DETECTOR, VIT, KERAS, ONNX = "residual", "detector", "vit", "keras", "onnx"
#: Output layers of detectors: maps of a grid, and boxes of anchors.
MAPS, BOXES = "maps", "boxes"
