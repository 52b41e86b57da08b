"""The measured tables of README.md and docs/results.md are those the zoo's bundles record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "tables.py"


def check(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )


def test_the_tables_are_what_the_bundles_record():
    done = check(SCRIPT)
    assert done.returncode == 0, done.stderr


def test_a_figure_changed_by_hand_is_found(tmp_path):
    pages = ("README.md", "docs/first-board.md", "docs/results.md")
    for name in (*pages, "docs/results.json", "benchmarks/tables.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "host").symlink_to(ROOT / "host")
    readme = (tmp_path / "README.md").read_text()
    table = readme.split("<!-- accuracy: written", 1)[1]
    figure = table.split("| `fashion-mnist-48` | 48 | ", 1)[1].split(" |", 1)[0]
    (tmp_path / "README.md").write_text(readme.replace(f"| 48 | {figure} |", "| 48 | 99.99 |"))
    done = check(tmp_path / "benchmarks" / "tables.py")
    assert done.returncode == 1
    assert "README.md" in done.stderr


def test_the_cards_of_the_zoo_are_what_the_bundles_record():
    done = check(ROOT / "benchmarks" / "zoo_cards.py")
    assert done.returncode == 0, done.stderr


def test_a_card_changed_by_hand_is_found(tmp_path):
    scripts = ("benchmarks/zoo_cards.py", "benchmarks/zoo_cuts.py", "benchmarks/doc_block.py")
    for name in ("docs/zoo.md", "docs/zoo_cuts.json", *scripts):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "host").symlink_to(ROOT / "host")
    cards = (ROOT / "docs/zoo.md").read_text()
    figure = cards.split("| percent | ", 1)[1].split(" |", 1)[0]
    (tmp_path / "docs/zoo.md").write_text(cards.replace(f"| percent | {figure} |", "| percent | 99.99 |", 1))
    done = check(tmp_path / "benchmarks" / "zoo_cards.py")
    assert done.returncode == 1 and "docs/zoo.md" in done.stderr


def test_the_table_of_teachers_is_what_was_measured():
    done = check(ROOT / "benchmarks" / "teachers.py")
    assert done.returncode == 0, done.stderr


def test_a_figure_of_a_teacher_changed_by_hand_is_found(tmp_path):
    for name in (
        "docs/teachers.md",
        "docs/teachers.json",
        "benchmarks/teachers.py",
        "benchmarks/doc_block.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    page = (ROOT / "docs/teachers.md").read_text()
    figure = page.split("| `stamps`", 1)[1].split("| `lite0` | ", 1)[1].split(",", 1)[0]
    assert figure.endswith(" %")
    (tmp_path / "docs/teachers.md").write_text(page.replace(figure, "99.99 %", 1))
    done = check(tmp_path / "benchmarks" / "teachers.py")
    assert done.returncode == 1 and "docs/teachers.md" in done.stderr


def test_the_device_cost_of_the_families_is_what_was_measured():
    done = check(ROOT / "benchmarks" / "family_cost.py")
    assert done.returncode == 0, done.stderr
