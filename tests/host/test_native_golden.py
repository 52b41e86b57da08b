"""All test images of a bundle's data set on board native: every payload is that of the int8 reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semflash.bundle import read_bundle
from semflash.cli.main import main
from semflash.edge.bundle_data import bundle_dataset
from semflash.errors import DatasetError

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = [
    *sorted((ROOT / "host" / "semflash" / "zoo").glob("*.semcodec")),
    ROOT / "tests" / "vectors" / "tiny.semcodec",
]


def images_of(bundle: Path) -> int:
    """Test images of the bundle's data set; skips where it is not here."""
    try:
        return len(bundle_dataset(read_bundle(bundle)).test)
    except DatasetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_all_test_images_give_the_golden_codes(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    count = images_of(bundle)
    assert count >= 1_000
    flags = ["--board", "native", "--count", str(count), "--check-golden", "--json"]
    assert main(["run", str(bundle), *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["received"] == count
    assert (result["golden"]["checked"], result["golden"]["different"]) == (count, 0)
