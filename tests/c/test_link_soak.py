"""20,000 frames through a line with every fault; tests/soak/link_frames.py runs a million."""

from __future__ import annotations

from pathlib import Path

from c import tiny_reference as tiny
from semflash.link.session import Expected
from soak.link_frames import run
from soak.losses import KINDS


def test_twenty_thousand_frames_are_all_accounted_for(tiny_library: Path) -> None:
    expected = Expected("tiny", tiny.BUNDLE, 28, 28, tiny.PAYLOAD_BYTES)
    report = run(tiny_library, expected, 20_000, seed=2)
    assert report.frames >= 20_000 and report.wrong == 0
    assert set(report.losses) == set(KINDS) and report.misplaced > 0 == report.nearest_wrong
    assert report.frames_lost > 0 < report.frames_duplicate and report.damaged > 0 < report.dropped
