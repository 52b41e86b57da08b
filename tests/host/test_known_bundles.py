"""Which bundles are tried in a child, and which are known."""

from __future__ import annotations

import dataclasses
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from semflash.bundle import known, read_bundle
from semflash.bundle.reader import zoo_names
from semflash.edge import first_run
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.golden import GoldenEncoder
from semflash.errors import BundleError
from semflash.runtime.child import Outcome, run_child

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
HASH = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modules that were run as children; they are not really run."""
    seen: list[str] = []

    def pretend(module: str, parcel: bytes, timeout_s: float) -> Outcome:
        seen.append(module)
        return Outcome("", b"{}", "")

    monkeypatch.setattr(first_run, "run_child", pretend)
    return seen


def test_the_zoo_is_known_wherever_its_bundles_lie(tmp_path: Path, children: list[str]) -> None:
    shutil.copytree(read_bundle("mnist-12").path, tmp_path / "copy.semcodec")
    EdgeDecoder(read_bundle(tmp_path / "copy.semcodec"))
    assert children == []
    assert all(known.is_known(read_bundle(name).hash_hex) for name in zoo_names())


def test_an_unknown_bundle_is_tried_once(children: list[str]) -> None:
    bundle = read_bundle(TINY)
    EdgeDecoder(bundle)
    GoldenEncoder(bundle)
    EdgeDecoder(read_bundle(TINY))
    assert children == ["semflash.edge.first_run_child"]


def test_an_exported_bundle_is_known_whatever_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    known.remember(HASH, exported=True)
    monkeypatch.setattr(metadata, "version", lambda name: "another")
    assert known.is_known(HASH)


def test_a_try_holds_for_its_runtime_only(monkeypatch: pytest.MonkeyPatch) -> None:
    known.remember(HASH)
    assert known.is_known(HASH)
    monkeypatch.setattr(metadata, "version", lambda name: "another")
    assert not known.is_known(HASH)


@pytest.mark.parametrize("text", ["../../../etc/passwd", "", HASH.upper(), HASH + "0", HASH[:-1] + "/"])
def test_what_is_no_hash_is_neither_looked_up_nor_written(text: str, state: Path) -> None:
    known.remember(text, exported=True)
    assert not known.is_known(text) and not state.exists()


def test_a_folder_that_others_can_write_to_is_not_believed(state: Path) -> None:
    known.remember(HASH, exported=True)
    (state / "known-bundles").chmod(0o777)
    assert not known.is_known(HASH)
    known.remember("f" * 64)
    assert not (state / "known-bundles" / ("f" * 64)).exists()


def test_a_folder_that_is_no_folder_only_means_another_try(state: Path, children: list[str]) -> None:
    state.write_text("in the way", encoding="utf-8")
    bundle = read_bundle(TINY)
    EdgeDecoder(bundle)
    EdgeDecoder(bundle)
    assert len(children) == 2


def test_without_a_home_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("SEMFLASH_STATE_DIR")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert known.folder() is None and not known.is_known(HASH)
    known.remember(HASH)


def test_the_state_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMFLASH_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert known.folder() == Path("/somewhere/semflash/known-bundles")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert known.folder() == Path("/home/somebody/.local/state/semflash/known-bundles")


def test_a_bundle_that_its_child_does_not_survive_is_refused_and_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = Outcome("tail.tflite", None, "it stopped with SIGSEGV")
    monkeypatch.setattr(first_run, "run_child", lambda *_: dead)
    bundle = read_bundle(TINY)
    for _ in range(2):
        with pytest.raises(BundleError, match=r"tail\.tflite does not survive its first run: .*SIGSEGV"):
            EdgeDecoder(bundle)
    assert not known.is_known(bundle.hash_hex)


def test_the_child_says_what_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's own check is left out: the child's answer is the one that comes back."""
    bundle = read_bundle(TINY)
    broken = dataclasses.replace(
        bundle, files={**bundle.files, "tail.tflite": bundle.edge["decoder"]}, hash_hex="ab" * 32
    )
    with pytest.raises(BundleError, match=r"tail\.tflite needs one input"):
        first_run.admit(broken)
    assert not known.is_known(broken.hash_hex)


def test_the_real_child_lets_a_good_bundle_pass() -> None:
    assert run_child is first_run.run_child
    bundle = read_bundle(TINY)
    first_run.admit(bundle)
    assert known.is_known(bundle.hash_hex)
