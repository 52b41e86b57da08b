"""The tutorial of docs/codecs.md: its blocks are a file that runs and says what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="training and export need TensorFlow")
pytest.importorskip("PIL.Image")

from fakes.diagrams import faults, shapes_of, steps
from semflash.codecs import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codecs.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RESULT = re.compile(r"(\d+) bytes per image, bit-exact: (\w+), right labels: (\d+)%")
#: Two kinds of three are told apart by one row; less than this, and the codec has not learnt.
RIGHT_PERCENT = 85


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == kind]


def test_the_page_is_one_file_that_compiles() -> None:
    code = "\n".join(blocks("python"))
    compile(code, "sign_codec.py", "exec")
    assert code.count('register("sign"') == 1


def test_the_diagram_of_the_page_is_that_of_its_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    before_training = "\n".join(blocks("python")).split("from semflash.training", 1)[0]
    names: dict[str, object] = {}
    exec(compile(before_training, "sign_codec.py", "exec"), names)
    codec = registry.create("sign", {})
    assert faults(steps(type(codec).__doc__ or ""), shapes_of(codec), shortened=False) == []


@pytest.mark.timeout(900)  # a training of seconds, and what TensorFlow takes to start
def test_the_page_runs_and_says_what_it_prints(tmp_path: Path) -> None:
    (tmp_path / "sign_codec.py").write_text("\n".join(blocks("python")), encoding="utf-8")
    environment = os.environ | {
        "SEMFLASH_STATE_DIR": str(tmp_path / "state"),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "sign_codec.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    size, same, right = RESULT.fullmatch(done.stdout.splitlines()[-1]).groups()  # type: ignore[union-attr]
    shown_size, shown_same, shown_right = RESULT.fullmatch(blocks("text")[0].strip()).groups()  # type: ignore[union-attr]
    assert (size, same) == (shown_size, shown_same) == ("8", "True")
    assert int(right) >= RIGHT_PERCENT and abs(int(right) - int(shown_right)) <= 100 - RIGHT_PERCENT
