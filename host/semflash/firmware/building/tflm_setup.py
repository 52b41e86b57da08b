"""Makes the TensorFlow Lite Micro tree that the engine ``tflm`` takes its files from, with TFLM's own script.

The source is a checkout of tflite-micro: one of the user's, or, where the internet is, the pinned commit,
whose content git checks by its digest. TFLM's script fetches what it builds on (CMSIS, CMSIS-NN, flatbuffers)
itself. Nothing of it enters semflash: the tree lies in the user's cache folder, or where ``--out`` says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from semflash.errors import BuildError, ToolMissingError, UsageError
from semflash.firmware.building import tflm_tree
from semflash.processes import children

URL = "https://github.com/tensorflow/tflite-micro"
#: The commit that semflash was tried with (docs/engines.md).
COMMIT = "90b983c2b3f1480642e040bbd2ddb37b998f3424"
SCRIPT = "tensorflow/lite/micro/tools/project_generation/create_tflm_tree.py"
MAKE_OPTIONS = "TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp OPTIMIZED_KERNEL_DIR=cmsis_nn"
FETCH_TIMEOUT_S, MAKE_TIMEOUT_S = 900.0, 3600.0
_SHOWN = 600  # characters of what a program said at its end
BRING = (
    f"on a machine with internet: git clone {URL} && git -C tflite-micro checkout {COMMIT}; "
    "then here: semflash tflm setup --source tflite-micro"
)


def setup(source: Path | None, out: Path | None, tell: Callable[[str], None]) -> tflm_tree.TflmTree:
    """Make the tree and check it.

    Args:
        source: a checkout of tflite-micro; None: the pinned commit is fetched.
        out: where the tree goes; None: where every build looks for it.
        tell: told what is being done.

    Raises:
        UsageError: the source is no such checkout, or something else lies where the tree is to go.
        ToolMissingError: git is missing, or the commit cannot be fetched.
        BuildError: TFLM's script failed, or what it made is no tree with CMSIS-NN kernels.
    """
    target = (out or tflm_tree.default_tree()).expanduser().absolute()
    if target.exists() and any(target.iterdir()):
        tflm_tree.locate(target)  # only a tree is ever replaced
    if source is not None and not (source / SCRIPT).is_file():
        raise UsageError(
            "this is no checkout of tflite-micro", value=f"{source} has no {SCRIPT}", remedy=BRING
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tflm-") as work:
        checkout = source.absolute() if source is not None else _fetched(Path(work) / "source", tell)
        tell("making the tree with TFLM's own script (it fetches CMSIS, CMSIS-NN and flatbuffers) ...")
        made = Path(work) / "tree"
        command = [sys.executable, SCRIPT, f"--makefile_options={MAKE_OPTIONS}", str(made)]
        done = _run(command, MAKE_TIMEOUT_S, checkout)
        if done.returncode:
            raise BuildError(
                "TFLM's script could not make the tree",
                value=_end_of(done.stdout),
                remedy="it needs make, unzip, Python with numpy and Pillow, and internet for what it fetches",
            )
        tflm_tree.locate(made)
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    return tflm_tree.locate(target)


def _fetched(folder: Path, tell: Callable[[str], None]) -> Path:
    """The pinned commit, and nothing before it.

    Raises:
        ToolMissingError: there is no git, no way to the repository, or another commit came.
    """
    if shutil.which("git") is None:
        raise ToolMissingError(
            "git fetches tflite-micro, and it is not installed", remedy="apt-get install git"
        )
    tell(f"fetching tflite-micro {COMMIT[:12]} ...")
    folder.mkdir()
    for command in (
        ["git", "init", "--quiet"],
        ["git", "fetch", "--quiet", "--depth", "1", URL, COMMIT],
        ["git", "checkout", "--quiet", COMMIT],
    ):
        done = _run(command, FETCH_TIMEOUT_S, folder)
        if done.returncode:
            raise ToolMissingError("tflite-micro cannot be fetched", value=_end_of(done.stdout), remedy=BRING)
    found = _run(["git", "rev-parse", "HEAD"], FETCH_TIMEOUT_S, folder).stdout.strip()
    if found != COMMIT:
        raise ToolMissingError("another commit than the pinned one came", value=found[:80], remedy=BRING)
    return folder


def _run(command: Sequence[str], timeout_s: float, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program in a folder; TFLM's makefile finds this Python as python3, and git asks for no password."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return children.run(command, timeout_s=timeout_s, env=environment, cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"{command[0]} took longer than {timeout_s:.0f} s",
            value=" ".join(command[1:4]),
            remedy="try again",
        ) from error


def _end_of(text: str) -> str:
    return text.strip()[-_SHOWN:] or "it said nothing"
