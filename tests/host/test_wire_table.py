"""protocol/wire.toml gives the committed constants and tables; nobody edits them by hand."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from semflash.link import wire

ROOT = Path(__file__).resolve().parents[2]
GENERATOR: dict[str, Any] = runpy.run_path(str(ROOT / "protocol" / "generate.py"))


@pytest.mark.parametrize("name", ["HEADER", "CONSTANTS", "PAGE"])
def test_a_committed_file_is_what_the_table_gives(name: str) -> None:
    path = GENERATOR[name]
    assert path.read_text(encoding="utf-8") == GENERATOR["outputs"]()[path], (
        f"{path.relative_to(ROOT)} is stale: python protocol/generate.py"
    )


def test_a_change_of_the_table_changes_all_three_files() -> None:
    table = GENERATOR["read_table"]()
    table["hello"][5]["tag"] = 99
    assert "SF_HELLO_PAYLOAD = 99," in GENERATOR["c_header"](table)
    assert "    PAYLOAD = 99\n" in GENERATOR["python_constants"](table)
    assert "| 99 | PAYLOAD | 4 |" in GENERATOR["page"](table, GENERATOR["PAGE"].read_text())


def test_a_number_twice_or_a_gap_in_the_types_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = GENERATOR["TABLE"].read_text(encoding="utf-8")
    path = tmp_path / "wire.toml"
    path.write_text(text.replace("tag = 7\n", "tag = 6\n"), encoding="utf-8")
    read = GENERATOR["read_table"]
    monkeypatch.setitem(read.__globals__, "TABLE", path)
    with pytest.raises(ValueError, match=r"\[\[hello\]\] has the same tag twice"):
        read()
    path.write_text(text.replace("value = 0x86\n", "value = 0x8A\n"), encoding="utf-8")
    with pytest.raises(ValueError, match="without gaps"):
        GENERATOR["c_header"](read())


def test_nothing_beside_the_table_repeats_a_constant() -> None:
    """Types, reasons and tags are numbers only in wire.h and wire.py."""
    link, device = ROOT / "host/semflash/link", ROOT / "device"
    files = [*link.rglob("*.py"), *device.rglob("*.[ch]")]
    number = re.compile(r"\b0x8[0-9A-Fa-f]\b|FRAME_(HELLO|ROWS|CODES)\w*\s*=|REFUSED_\w+\s*=\s*\d")
    found = {
        path.name
        for path in files
        if path.name not in ("wire.h", "wire.py") and number.search(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_the_earlier_versions_are_all_before_this_one() -> None:
    assert list(wire.EARLIER_VERSIONS) == list(range(1, wire.PROTOCOL_VERSION))
