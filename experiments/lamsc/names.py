"""What the experiments with segments measure, and what the arms are called."""

from __future__ import annotations

from semflash.segments.classical import EXACT, FELZENSZWALB
from semflash.segments.opening import HED

#: Segment knowledge bases.
BASES = (EXACT, HED, FELZENSZWALB)
#: First images of the splits. Attention and students learn where there are training images: HED takes a
#: quarter of a second for each.
TRAIN_IMAGES, TEST_IMAGES = {EXACT: 600}, 300
#: What says which segment matters.
REMOVED, ALONE, BOTH, RULED = "removed", "alone", "both", "size rule"
BEST = "best choice"
EVIDENCE = (REMOVED, ALONE, BOTH, RULED)
#: Attention over segments, without the label.
ATTENTION = ("both", "channel", "spatial", "none")
STUDENT = "student"
TITLES = {
    REMOVED: "task's log-probability lost without the segment",
    ALONE: "the segment alone",
    BOTH: "both",
    RULED: "both, segments of more than 45 % ruled out",
    BEST: "best choice of these segments",
    "attention-both": "attention: channel and spatial",
    "attention-channel": "attention: channel alone",
    "attention-spatial": "attention: spatial alone",
    "attention-none": "the same module without attention",
    STUDENT: "student of blocks, learnt from the size rule",
}
