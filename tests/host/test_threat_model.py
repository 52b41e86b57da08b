"""The figures of docs/threat-model.md are those of the code, and the tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from semflash.data import image_files
from semflash.link import frame, raw_record, sequence
from semflash.link.core import link_core, patience, window

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "figure"),
    [
        (r"receive buffer ([\d,]+) bytes", frame.WIRE_MAX),
        (r"([\d,]+) remembered frame numbers", sequence.RECENT_MAX),
        (r"window ([\d,]+) bytes whatever HELLO claims", window.IN_FLIGHT_BYTES),
        (r"recordings: ([\d,]+) KiB per record", raw_record.MAX_RECORD // 1024),
        (r"([\d,]+) KiB per record and header", raw_record.MAX_HEADER // 1024),
        (r"([\d,]+) x time-out for HELLO", link_core.HELLO_ATTEMPTS),
        (r"([\d,]+) times that while frames", patience.PERSEVERANCE),
        (r"([\d,]+) new starts and", patience.BARREN_STARTS),
        (r"new starts and ([\d,]+) x time-out", patience.BARREN_STARTS),
        (r"([\d,]+) images in a row given up", patience.LOST_IN_A_ROW),
        (r"at most ([\d,]+) million pixels", image_files.PIXELS_MAX // 1_000_000),
    ],
)
def test_a_bound_of_the_page_is_the_bound_of_the_code(words: str, figure: int) -> None:
    found = re.search(words, " ".join(PAGE.split()))
    assert found is not None, f"the page no longer says {words}"
    assert int(found[1].replace(",", "")) == figure


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w./-]+\.py|tests/\w+)`", PAGE)
    folders = (ROOT, ROOT / "host" / "semflash", ROOT / "tests" / "host")
    missing = [name for name in named if not any((folder / name).exists() for folder in folders)]
    assert named and missing == []
