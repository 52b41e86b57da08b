"""Names of the task networks, as recipes have them, and of output layers, by which a tail says what it gives.

It imports nothing, so that recipes stay light.
"""

from __future__ import annotations

RESIDUAL, DETECTOR, KERAS, ONNX = "residual", "detector", "keras", "onnx"
#: Output layers of detectors: maps of a grid, and boxes of anchors.
MAPS, BOXES = "maps", "boxes"
