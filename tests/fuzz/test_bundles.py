"""A sample of what tests/fuzz/bundles.py tries by the ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.bundles import run


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("count", "first_run"), [(200, False), (24, True)])
def test_spoilt_bundles_with_right_hashes_are_refused_or_work(
    count: int, first_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without first runs in children, the checks of structure alone must keep LiteRT from crashing."""
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path))
    summary = run(count, 11, first_run=first_run, keep=tmp_path / "kept")
    assert summary.failures == []
    assert summary.outcomes["accepted"] + summary.outcomes["refused"] == count
    assert summary.outcomes["accepted"] > 0
