"""The link core cannot wait, read a clock, open anything or draw lots: nothing that it imports can."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HOST = Path(__file__).resolve().parents[2] / "host"
CORE = sorted((HOST / "semflash/link/core").glob("*.py"))
#: Clocks, waiting, ports, threads, other programs, the system, chance.
FORBIDDEN = frozenset(
    (
        *("time", "datetime", "select", "selectors", "signal", "socket", "ssl", "serial", "termios", "fcntl"),
        *("threading", "_thread", "queue", "asyncio", "concurrent", "multiprocessing", "subprocess"),
        *("os", "io", "pathlib", "random", "secrets", "uuid"),
    )
)


def _file(module: str) -> Path | None:
    path = HOST.joinpath(*module.split("."))
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[0] if found else None


def _imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported, in functions too; what only a type checker reads is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def reached(files: list[Path]) -> dict[str, set[str]]:
    """By file of semflash that these files reach, itself included: names of what it imports."""
    found: dict[str, set[str]] = {}
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(HOST))
        if name in found:
            continue
        found[name] = set(_imports(ast.parse(path.read_text(encoding="utf-8"))))
        waiting += [file for module in found[name] if (file := _file(module)) is not None]
    return found


def forbidden(files: list[Path]) -> dict[str, set[str]]:
    """Forbidden imports, by the file in which they stand."""
    tops = {file: {name.split(".")[0] for name in names} for file, names in reached(files).items()}
    return {file: names & FORBIDDEN for file, names in tops.items() if names & FORBIDDEN}


def test_nothing_that_the_core_imports_has_a_clock_a_port_a_thread_or_chance() -> None:
    assert len(CORE) > 8 and "semflash/link/frame.py" in reached(CORE)
    assert forbidden(CORE) == {}


def test_the_same_look_finds_clock_and_port_in_the_blocking_shell() -> None:
    found = forbidden([HOST / "semflash/link/session.py"])
    assert "time" in found["semflash/link/session.py"]
    assert {"select", "socket"} <= found["semflash/link/socket_port.py"]
    assert found["semflash/link/fresh_numbers.py"] == {"secrets"}


def test_a_core_runs_where_ports_and_clocks_cannot_be_imported() -> None:
    """In a child in which they are walled off once msgspec is there, which reads dates in other programs."""
    script = """
import sys
import msgspec

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name in {"socket", "select", "selectors", "serial", "asyncio", "multiprocessing", "secrets"}:
            raise AssertionError(f"the core imports {name}")

sys.meta_path.insert(0, Wall())
for name in ("time", "threading"):
    sys.modules[name] = None
from semflash.link.core import LinkCore
from semflash.link.handshake import Expected
core = LinkCore(Expected("toy", 1, 4, 6, 8), session=7, first_request=9)
core.start(0.0)
assert len(core.data_to_send()) > 20 and core.timeout_at() > 0.0
"""
    search = [str(HOST), *(path for path in sys.path if path.endswith("site-packages"))]
    child = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path += {search!r}\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
