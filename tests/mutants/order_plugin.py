"""A pytest plugin: run the tests that a mutant's runner chose, in its order.

SEMFLASH_MUTANTS_ORDER names the file with both. Tests that the coverage map does not know were written
into a file of the run after it; they run first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep and order."""
    chosen = json.loads(Path(os.environ["SEMFLASH_MUTANTS_ORDER"]).read_text(encoding="utf-8"))
    places = {name: index for index, name in enumerate(chosen["order"])}
    known = set(chosen["known"])
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        is_new = item.nodeid not in known and not any(
            item.get_closest_marker(name) for name in ("slow", "emulated", "hardware")
        )
        (kept if item.nodeid in places or is_new else left).append(item)
    items[:] = sorted(kept, key=lambda item: places.get(item.nodeid, -1))
    config.hook.pytest_deselected(items=left)
