"""The order of the rooms of host/semflash: imports run downwards only, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOST = Path(__file__).resolve().parents[2] / "host"
#: From the top down; a room imports from rooms after it only. Rooms of one line know nothing of each other.
ORDER = (
    ("cli",),
    ("hil", "report", "bench", "monitor"),
    ("edge",),
    ("firmware", "baselines", "importing"),
    ("export",),
    ("training",),
    ("conversion",),
    ("codecs",),
    ("segments",),
    ("teachers",),
    ("tasks",),
    ("data", "link"),
    ("bundle",),
    ("outputs", "channels", "runtime"),
    ("program",),
    ("settings", "array_files", "recording", "processes", "stores"),
    ("atomic",),
    ("fields", "printable", "console", "errors"),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
#: What must work where no TensorFlow is installed, and knows nothing of how a codec was trained.
WITHOUT_TRAINING = (
    "firmware",
    "edge",
    "link",
    "bundle",
    "program",
    "runtime",
    "outputs",
    "channels",
    "bench",
    "monitor",
    "hil",
)
TRAINING = (
    "training",
    "codecs",
    "segments",
    "teachers",
    "tasks",
    "conversion",
    "export",
    "importing",
    "baselines",
)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(HOST).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in sorted((HOST / "semflash").rglob("*.py"))}


def _imports(path: Path) -> Iterator[str]:
    """Modules of semflash that a file imports, anywhere in it, in functions and for types only too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


EDGES = {name: set(_imports(path)) - {name} for name, path in MODULES.items()}


def _room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def test_every_room_has_its_place() -> None:
    assert {_room(name) for name in MODULES} - {None} == set(LEVEL)


def test_imports_run_downwards_only() -> None:
    upwards = [
        f"{module} imports {target}"
        for module, targets in EDGES.items()
        for target in targets
        if (here := _room(module))
        and (there := _room(target))
        and here != there
        and LEVEL[there] <= LEVEL[here]
    ]
    assert upwards == []


@pytest.mark.parametrize("room", WITHOUT_TRAINING)
def test_what_runs_without_training_imports_nothing_of_it(room: str) -> None:
    found = [
        f"{module} imports {target}"
        for module, targets in EDGES.items()
        for target in targets
        if _room(module) == room and _room(target) in TRAINING
    ]
    assert found == []


def test_no_module_imports_itself_in_a_circle() -> None:
    try:
        TopologicalSorter(EDGES).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_folders_hold_one_idea() -> None:
    """At most 20 modules in a folder; verbs of the command line are one file each."""
    counts = {folder: len(list(folder.glob("*.py"))) for folder in {path.parent for path in MODULES.values()}}
    assert {
        str(folder.relative_to(HOST)): n for folder, n in counts.items() if n > 20 and folder.name != "cli"
    } == {}
