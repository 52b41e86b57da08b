"""What the experiments with patches of several resolutions measure, and what the arms are called."""

from __future__ import annotations

#: Bytes of an image, for which single resolutions of 8, 16, 32 and 64 bits a patch are trained.
RATES = (64, 128, 256, 512)
SEEDS = (0, 1, 2)
#: All patches at one resolution.
SINGLE = "single"
#: Who ranks the patches, with the selector of the device.
ORACLE, TEACHER, STUDENT, VARIANCE, CHANCE = "oracle", "teacher", "attention", "variance", "chance"
TEACHER_VARIANCE, STUDENT_VARIANCE = "teacher-variance", "attention-variance"
RANKED = (ORACLE, TEACHER, TEACHER_VARIANCE, STUDENT, STUDENT_VARIANCE, VARIANCE, CHANCE)
#: Other ways: the best patches at the highest level alone; bits of a patch by the weighted error.
ONE_BIT, QUANTISED = "one-bit", "importance-aware"
#: Image formats without what both sides know.
FORMATS = ("jpeg", "webp")
ARMS = (SINGLE, *RANKED, ONE_BIT, QUANTISED)
TITLES = {
    SINGLE: "single resolution",
    ORACLE: "mask of the object (oracle)",
    TEACHER: "teacher's attention",
    TEACHER_VARIANCE: "teacher's attention x variance",
    STUDENT: "attention alone",
    STUDENT_VARIANCE: "attention x variance",
    VARIANCE: "local contrast alone",
    CHANCE: "random ranking",
    ONE_BIT: "one bit per patch (2405.01521)",
    QUANTISED: "importance-aware quantisation (2412.06038)",
    "semanticnn": "SemanticNN",
    "limitnet": "LimitNet",
    "jpeg": "JPEG",
    "webp": "WebP",
}
#: Codecs of other papers.
COMPARED = ("semanticnn", "limitnet")
