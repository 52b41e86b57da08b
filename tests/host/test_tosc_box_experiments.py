"""The second task in the experiments with TOSC: jobs, mAP over a channel, tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")
pytest.importorskip("pycocotools", reason="mAP needs it")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.tosc import box_blocks  # noqa: E402
from experiments.tosc.box_plan import CLASSES, SHAPE, box_studies  # noqa: E402
from experiments.tosc.boxes import rows_of  # noqa: E402
from experiments.tosc.names import SEEDS, SNRS  # noqa: E402
from experiments.tosc.reading import Material  # noqa: E402
from experiments.tosc.results import Result, Row  # noqa: E402

from semflash.codecs.registry import create  # noqa: E402
from semflash.data.dataset import Split  # noqa: E402
from semflash.tasks.detector import target_maps  # noqa: E402

SIZES: dict[str, Any] = {
    "task": "boxes",
    "places": "local",
    "image_shape": (32, 32, 3),
    "classes": 2,
    "middle": [(4, 2), (4, 2), (8, 2)],
    "decoder_width": 8,
}


def result(variant: str, seed: int, rows: list[Row], **figures: Any) -> Result:
    """Of invented numbers."""
    return Result(
        job=f"boxes-{variant}-s{seed}",
        group="boxes",
        variant=variant,
        seed=seed,
        settings={},
        digest="0" * 16,
        rows=rows,
        figures=figures,
    )


def curve(variant: str, middle: float, **figures: Any) -> list[Result]:
    """Three seeds around an mAP, the same at every level."""
    return [
        result(
            variant, seed, [Row("test", "awgn", level, middle + step, 100, 2) for level in SNRS], **figures
        )
        for seed, step in zip(SEEDS, (-0.01, 0.0, 0.01), strict=True)
    ]


def test_the_jobs_differ_in_the_teacher_alone_and_need_it() -> None:
    teacher, *codecs = box_studies(None)
    assert [(one.variant, one.seed) for one in codecs] == [
        (variant, seed) for seed in SEEDS for variant in ("distilled", "undistilled")
    ]
    for distilled, undistilled in zip(codecs[::2], codecs[1::2], strict=True):
        assert distilled.needs == (teacher.name,) and undistilled.needs == ()
        one, other = (dict(study.settings["recipe"]) for study in (distilled, undistilled))
        assert (one.pop("teacher"), other.pop("teacher")) == ("scenes-teacher", "")
        assert (one.pop("name"), other.pop("name")) == ("tosc boxes distilled", "tosc boxes undistilled")
        assert one == other and distilled.settings["sizes"] == undistilled.settings["sizes"]
        assert distilled.settings["task"] == teacher.settings["task"]
    sizes = create("tosc", codecs[0].settings["sizes"]).sizes
    assert (sizes.task, sizes.image_shape, sizes.classes) == ("boxes", SHAPE, CLASSES)
    assert {study.settings["recipe"]["task_epochs"] for study in list(box_studies(1))[1:]} == {1}


def test_map_is_measured_at_every_ratio_with_the_same_noise_each_time() -> None:
    keras.utils.set_random_seed(0)
    codec = create("tosc", SIZES)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    boxes = np.tile(np.array([4, 4, 20, 20, 1, 0], np.float32), (8, 1, 1))
    first, again = (list(rows_of(codec, Split(images, boxes), [-6.0, 18.0], 2)) for _ in range(2))
    assert first == again and [(row.level, row.images, row.repeats) for row in first] == [
        (-6.0, 8, 2),
        (18.0, 8, 2),
    ]
    perfect = target_maps(boxes, codec.purpose.kind)[..., :-1]
    perfect[..., :2] = np.where(perfect[..., :2] == 1, 9.0, -9.0)
    codec.answer = lambda *_: perfect
    assert [row.accuracy for row in rows_of(codec, Split(images, boxes), [-6.0], 2)] == [pytest.approx(1.0)]


def test_the_tables_say_map_the_difference_and_what_teacher_and_student_weigh() -> None:
    counts = {"encoder": 900, "projection": 90, "adaptation": 10, "decoder": 5_000, "link": 0}
    detector = result("teacher", 0, [], map50={"val": 0.8, "test": 0.75}, weights_bytes=123_456)
    found = [detector, *curve("distilled", 0.6, parameters=counts), *curve("undistilled", 0.55)]
    text = box_blocks.boxes(Material({one.job: one for one in found}))
    assert "| TOSC, distilled | 3 | 60.00 ± 1.00 |" in text
    assert "| mean | +5.00 ± 0.00 | +5.00, +5.00, +5.00 |" in text
    assert "mAP 75.00 % on the test images" in text and "123,456 bytes" in text
    assert "1,000 weights on the device, 5,000 on the edge" in text


def test_what_is_missing_is_said() -> None:
    assert box_blocks.boxes(Material({})).startswith("Not measured yet: ")
    alone = box_blocks.boxes(Material({one.job: one for one in curve("undistilled", 0.5)}))
    assert "TOSC, undistilled" in alone and "Not measured yet: TOSC, distilled" in alone
    assert "less undistilled" not in alone
