"""What the experiments with segments measure, and what the arms are called."""

from __future__ import annotations

from semflash.segments.classical import EXACT, FELZENSZWALB
from semflash.segments.opening import HED

#: Segment knowledge bases.
BASES = (EXACT, HED, FELZENSZWALB)
#: First images of the splits: HED takes a quarter of a second for each. Attention and students learn on the
#: first training images of the exact masks.
TRAIN_IMAGES, TEST_IMAGES = 600, 300
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
    STUDENT: "student of blocks",
}
#: Bytes that all arms are compared at, and those of the sweep.
RATES = (100, 159, 293)
SWEEP = (60, 80, 100, 130, 159, 200, 293, 400, 550, 700)
#: Bit error rates, at so many bytes, and how many images go over the channel.
BERS, ERRORS_AT, ERROR_IMAGES = (0.0, 0.0025, 0.01, 0.05), 293, 300
#: Ways to spend the bytes and to decode them.
CODEC, EXACT_BLOCKS, OFF = "student's importance", "exact importance", "asi off"
LINEAR, OFF_LINEAR = "student's importance, linear decoder", "asi off, linear decoder"
CODED = (CODEC, EXACT_BLOCKS, OFF, LINEAR, OFF_LINEAR)
#: Those whose pictures the tail has learnt to name, or nearly.
NAMED = (CODEC, EXACT_BLOCKS, OFF)
ONE_LEVEL, ELEMENTS = "one level, no map", "element-wise mask, linear decoder"
FLAT_JPEG = "jpeg, background flattened by the student"
#: Importance that a block of that arm is kept above; what is best for the object is taken.
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3)
