"""The workflows of GitHub Actions: what they run exists, and strangers' code never reaches the desk."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from semflash.cli.main import load_verb, verb_parser

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(name: str) -> dict[Any, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def commands(workflow: dict[Any, Any]) -> list[list[str]]:
    """Words of every command of every `run:` line."""
    lines = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    return [shlex.split(part) for line in lines for part in re.split(r"&&|\n", line) if part.strip()]


def test_the_workflows_are_those_of_the_docs() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "hil.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_exists_with_its_flags(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    seen = 0
    for words in commands(load(path.name)):
        if words[0].endswith("/semflash"):
            assert words[0] == ".venv/bin/semflash"  # where the Makefile puts it
            verb_parser(words[1], load_verb(words[1])).parse_args(
                words[2:]
            )  # UsageError where one is unknown
            seen += 1
        elif words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets
            seen += 1
        elif words[0] == "bash":
            assert (ROOT / words[1]).is_file()
            seen += 1
    assert seen


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_a_time_limit_and_may_only_read(path: Path) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if "uses" in step:
                assert step["uses"].startswith("actions/"), "an action of somebody else's"


def test_the_emulated_board_is_checked_on_every_push() -> None:
    workflow = load("hil.yml")
    assert {"push", "pull_request"} <= set(workflow[True])  # YAML 1.1 reads the key `on` as true
    assert "if" not in workflow["jobs"]["emulated"]
    assert any(words[1:2] == ["hil"] for words in commands(workflow))


def test_the_nucleo_job_keeps_pull_requests_out_and_its_results() -> None:
    job = load("hil.yml")["jobs"]["nucleo"]
    assert job["runs-on"][0] == "self-hosted"
    assert "pull_request" not in job["if"]
    assert job["if"].startswith("vars.SEMFLASH_HIL_MAP != '' &&")
    assert job["concurrency"] == {"group": "hil-desk", "cancel-in-progress": False}
    runs = " ".join(step.get("run", "") for step in job["steps"])
    assert all(flag in runs for flag in ('--map "$HIL_MAP"', "--junit", "--report", "--record"))
    last = job["steps"][-1]
    assert last["if"] == "always()"
    assert last["uses"].startswith("actions/upload-artifact@")


def test_other_interpreters_run_tests_that_are_there() -> None:
    job = load("ci.yml")["jobs"]["light"]
    assert job["strategy"]["matrix"]["python"] == ["3.12", "3.13"]
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for version in job["strategy"]["matrix"]["python"]:
        assert f'"Programming Language :: Python :: {version}"' in classifiers
    listed = (ROOT / "requirements" / "light_tests.txt").read_text(encoding="utf-8").split()
    assert listed == sorted(listed, key=lambda path: (path.split("/")[1] != "host", path))
    assert listed and all((ROOT / path).is_file() for path in listed)
    heavy = re.compile(r"^(from|import) (tensorflow|keras)", re.MULTILINE)
    assert [path for path in listed if heavy.search((ROOT / path).read_text(encoding="utf-8"))] == []
