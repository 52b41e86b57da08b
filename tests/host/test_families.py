"""Families register themselves, and shared code knows none of them by name or by type."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="training's packages are not installed")

from semflash.codecs import registry
from semflash.codecs.registry import families, family_of, register
from semflash.codecs.sizes import CodecSizes
from semflash.codecs.training_side import TrainingSide
from semflash.errors import UsageError

HOST = Path(__file__).resolve().parents[2] / "host" / "semflash"
CODECS = HOST / "codecs"
#: Folders of families: those whose ``__init__`` registers something.
FOLDERS = sorted(
    path.parent for path in CODECS.glob("*/__init__.py") if "register(" in path.read_text(encoding="utf-8")
)


def shared_modules() -> list[Path]:
    """Every module but those of the families' own folders."""
    return [path for path in HOST.rglob("*.py") if not any(f in path.parents for f in FOLDERS)]


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_family_is_registered_by_a_folder_of_its_own() -> None:
    assert [folder.name for folder in FOLDERS] == [
        "compared",
        "lamsc",
        "multires",
        "semanticnn",
        "tokens",
        "tosc",
    ]
    assert {"semanticnn", "semanticnn-released", "agilenn", "limitnet"} <= set(families())
    for name in families():
        codec = family_of(name).codec
        assert any(f"semflash.codecs.{folder.name}." in f"{codec.__module__}." for folder in FOLDERS), name


def test_shared_code_imports_no_family() -> None:
    inside = [f"semflash.codecs.{folder.name}" for folder in FOLDERS]
    found = [
        f"{path.relative_to(HOST)} imports {module}"
        for path in shared_modules()
        for module in imported(path)
        if any(f"{module}.".startswith(f"{folder}.") for folder in inside)
    ]
    assert found == []


def test_shared_code_asks_no_codec_for_its_type() -> None:
    """No ``isinstance`` of a codec or of its sides, no ``getattr``, ``hasattr`` or ``type`` of one."""
    asked = []
    for path in shared_modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                subject = ast.unparse(node.args[0])
                if node.func.id in ("isinstance", "getattr", "hasattr", "type") and "codec" in subject.split(
                    "."
                ):
                    asked.append(f"{path.relative_to(HOST)}:{node.lineno} {ast.unparse(node)}")
    assert asked == []


def test_the_names_are_known_without_importing_keras() -> None:
    script = (
        "import sys\n"
        "from semflash.codecs.registry import families\n"
        "families()\n"
        "print(sorted(name for name in sys.modules if name.startswith('semflash.codecs.') and"
        " name.rpartition('.')[2] in ('codec', 'limitnet', 'agilenn')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    families()
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    register("mine", lambda: family_of("limitnet"))
    assert "mine" in families()
    with pytest.raises(UsageError, match="mine"):
        register("mine", lambda: family_of("limitnet"))


def test_a_family_is_registered_as_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    families()
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    monkeypatch.setattr(registry, "_ALONE", set(registry._ALONE))
    alone = [name for name in families() if registry.trains_alone(name)]
    assert alone == [name for name in families() if family_of(name).training is not None] != []
    register("claims", lambda: family_of("limitnet"), alone=True)
    register("hides", lambda: family_of(alone[0]))
    for name in ("claims", "hides"):
        with pytest.raises(UsageError, match="do not agree"):
            family_of(name)


@pytest.mark.parametrize("name", families())
def test_the_sizes_of_every_family_answer_what_shared_code_asks(name: str) -> None:
    sizes = family_of(name).sizes.from_dict({})
    assert isinstance(sizes, CodecSizes)
    assert sizes.symbols > 0 and min(sizes.latent_shape) > 0 and not sizes.begins_with_head
    assert all(isinstance(changes, dict) for changes in sizes.turns().values())


def test_a_term_that_a_family_does_not_have_is_an_error_that_names_the_remedy() -> None:
    plain = TrainingSide.code_loss, TrainingSide.usage_loss, TrainingSide.check_code_term
    codec = object.__new__(family_of("deepcod").codec)
    for call, given in zip(plain, ((codec, {}, 0.0, 0.0), (codec, {}), (codec,)), strict=True):
        with pytest.raises(UsageError, match="has no such loss term"):
            call(*given)
