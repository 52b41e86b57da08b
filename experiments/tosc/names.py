"""Names and levels that plan and tables share; nothing heavy is imported here."""

from __future__ import annotations

SEEDS = (0, 1, 2)
SNRS = (-6.0, 0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0)
#: Those that a mean over ratios is of.
MEAN_OF = (-6.0, 0.0, 6.0, 12.0, 18.0)
BERS = (0.0, 1e-4, 2.5e-3, 1e-2, 2.5e-2, 5e-2)
REPEATS = 4
#: Of boxes, whose mAP takes a second each time.
BOX_REPEATS = 2
KEPT = (32, 24, 16, 8)
#: Passes over the training images of the comparison with other methods, and their number, which is all of the
#: stamps.
IMAGES = 20_000
PASSES = {"bits": 12, "symbols": 6}
LIVE_IMAGES = 6_400
#: Bundles of the family.
ZOO = ("stamps-tosc", "fashion-mnist-tosc-12")
TEACHERS = {"stamps": "lite0", "fashion-mnist": "ensemble:3"}
