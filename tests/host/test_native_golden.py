"""All 10,000 test images of Fashion-MNIST on board native: every payload is that of the int8 reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semflash.cli.main import main
from semflash.errors import DatasetError
from semflash.training.datasets import load_dataset

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = [
    *sorted((ROOT / "host" / "semflash" / "zoo").glob("*.semcodec")),
    ROOT / "tests" / "vectors" / "tiny.semcodec",
]


@pytest.fixture(scope="module", autouse=True)
def fashion_mnist() -> None:
    try:
        load_dataset("fashion-mnist")
    except DatasetError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.stem)
def test_ten_thousand_images_give_the_golden_codes(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--board", "native", "--count", "10000", "--check-golden", "--json"]
    assert main(["run", str(bundle), *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["received"] == 10_000
    assert (result["golden"]["checked"], result["golden"]["different"]) == (10_000, 0)
