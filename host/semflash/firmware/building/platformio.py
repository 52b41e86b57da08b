"""The only caller of PlatformIO: private core folder, no telemetry, no registry where it can be done without.

PlatformIO wants a package `tool-scons` from its registry. The PyPI package `scons` holds the same program, so
a small package that starts it is written into the core folder (`bootstrap`); after that the emulated board
builds offline.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semflash import atomic
from semflash.errors import BuildError, DeviceError, SemflashError, ToolMissingError, UsageError
from semflash.firmware.building.project import write_if_changed
from semflash.firmware.probes.verdicts import TEXTS, Verdict, VerdictError
from semflash.processes import children

BUILD_TIMEOUT_S = 900
_TAIL_LINES = 25
_OWN_ERROR = "semflash-error "


def core_dir() -> Path:
    """semflash's own PlatformIO core folder: SEMFLASH_PLATFORMIO_DIR, or under the user's cache folder."""
    override = os.environ.get("SEMFLASH_PLATFORMIO_DIR")
    if override:
        return Path(override).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "semflash" / "platformio"


def environment(probe: str | None = None) -> dict[str, str]:
    """The environment pio runs in. PLATFORMIO_* of the caller does not leak into it.

    probe: serial number, which OpenOCD gets before it reads the board's file (`--upload-port` never does).
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("PLATFORMIO_")}
    env.update(
        PLATFORMIO_CORE_DIR=str(core_dir()),
        PLATFORMIO_SETTING_ENABLE_TELEMETRY="no",
        PLATFORMIO_DISABLE_UPGRADE_CHECK="true",  # exactly "true"; otherwise it may hang for a minute offline
        PLATFORMIO_NO_ANSI="true",
        PYTHONUNBUFFERED="1",
    )
    if probe is not None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", probe):
            raise UsageError(
                "this is no probe's serial number", value=probe, remedy="semflash boards lists them"
            )
        env["PLATFORMIO_UPLOAD_FLAGS"] = f"-c\nadapter serial {probe}"  # one argument a line
    return env


def bootstrap() -> Path:
    """Write the tool-scons package into the core folder, if it is not there, and return its folder.

    Raises:
        ToolMissingError: platformio or scons is not installed in this Python.
    """
    for package in ("platformio", "SCons"):
        if importlib.util.find_spec(package) is None:
            raise ToolMissingError(
                f"the Python package {package.lower()} is not installed",
                value=sys.executable,
                remedy="pip install semflash (or make setup) in this environment",
            )
    version = _wanted_scons()
    package_dir = core_dir() / "packages" / "tool-scons"
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
    meta = {"type": "tool", "name": "tool-scons", "version": version, "spec": spec}
    manifest = {
        "name": "tool-scons",
        "version": version,
        "description": f"SCons {importlib.metadata.version('scons')} from PyPI",
        "keywords": ["build"],
        "license": "MIT",
        "homepage": "https://scons.org",
        "system": "*",
    }
    write_if_changed(package_dir / "package.json", json.dumps(manifest, indent=1))
    write_if_changed(package_dir / ".piopm", json.dumps(meta))
    write_if_changed(package_dir / ".piokeep", "")
    write_if_changed(package_dir / "scons.py", "import SCons.Script\n\nSCons.Script.main()\n")
    return package_dir


def _wanted_scons() -> str:
    """The tool-scons version that satisfies this PlatformIO, for instance 4.41101.0 for ~4.41101.0."""
    from platformio.dependencies import get_core_dependencies

    requirement = get_core_dependencies()["tool-scons"]
    match = re.search(r"\d+\.\d+\.\d+", requirement)
    if match is None:
        raise BuildError(
            "this PlatformIO asks for tool-scons in a form semflash does not know",
            value=requirement,
            remedy="install the platformio version that pyproject.toml names",
        )
    return match.group(0)


@dataclass(frozen=True)
class PioResult:
    """What a successful pio run printed."""

    output: str


def run(
    project_dir: Path,
    environment_name: str,
    *,
    target: str | None = None,
    extra: Sequence[str] = (),
    log: Path | None = None,
    timeout_s: float = BUILD_TIMEOUT_S,
    probe: str | None = None,
) -> PioResult:
    """`pio run` in `project_dir` (with `-t target`), output kept in `log`.

    probe: serial number of the debug probe an upload must use; None: the only one.

    Ctrl-C, or any other exception, ends pio and all it started before it is passed on; so does the end of
    this process, however it comes.

    Raises:
        ToolMissingError, BuildError: the build failed.
        DeviceError: the upload failed.
    """
    bootstrap()
    # -P: a file of the user's folder, such as platformio.py, is not taken for the package.
    command = [sys.executable, "-P", "-m", "platformio", "run"]
    command += ["-d", str(project_dir), "-e", environment_name]
    command += ["--disable-auto-clean"]  # SCons knows what to compile again; PlatformIO would compile all
    command += ["-t", target] if target else []
    command += list(extra)
    try:
        done = children.run(command, env=environment(probe), timeout_s=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise _endless(target, timeout_s) from error
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(log, done.stdout, durable=False)
    error_found = translate(done.stdout, done.returncode, target=target, log=log)
    if error_found is not None:
        raise error_found
    return PioResult(done.stdout)


def _endless(target: str | None, timeout_s: float) -> SemflashError:
    """The error for a pio that was ended because it did not end."""
    what, value = "PlatformIO did not come to an end", f"{timeout_s:.0f} s"
    if target == "upload":
        return VerdictError(Verdict.FLASH_FAILED, what, value=value)
    return BuildError(
        what, value=value, remedy="see whether it waits for the network; the emulated board needs none"
    )


#: (text in the output, verdict, what, remedy). The first that matches wins; None: the verdict's own words.
_UPLOAD_TABLE: tuple[tuple[str, Verdict, str | None, str | None], ...] = (
    ("LIBUSB_ERROR_ACCESS", Verdict.NO_PERMISSION, None, None),
    ("Error: open failed", Verdict.NO_PROBE, None, None),
    (
        "init mode failed (unable to connect to the target)",
        Verdict.FLASH_FAILED,
        "the probe answers, but the microcontroller does not",
        None,
    ),
    ("Verify Failed", Verdict.VERIFY_FAILED, None, None),
    ("Programming Failed", Verdict.FLASH_FAILED, None, "check the board's power; flash again"),
    (
        "Unknown upload protocol",
        Verdict.FLASH_FAILED,
        "PlatformIO does not know the upload protocol, and uploaded nothing",
        "correct upload_protocol in platformio.ini",
    ),
)
_BUILD_TABLE: tuple[tuple[str, str, str], ...] = (
    (
        "HTTPClientError",
        "PlatformIO needs a package from its registry and cannot reach it",
        "connect this machine to the internet for the first build, or use --board qemu-stm32f405",
    ),
    (
        "arm-none-eabi-gcc: not found",
        "the ARM compiler is not installed",
        "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    ),
    ("UnknownPlatform", "PlatformIO does not know the board's platform", "semflash doctor"),
)


def translate(output: str, returncode: int, *, target: str | None, log: Path | None) -> SemflashError | None:
    """The error that pio's output tells of, or None. An exit code of 0 is not believed for uploads."""
    where = f"; the whole output is in {log}" if log is not None else ""
    if target == "upload":
        own = _own_error(output)
        if own is not None:
            return own
        for text, verdict, what, remedy in _UPLOAD_TABLE:
            if text in output:
                mend = (TEXTS[verdict][1] if remedy is None else remedy) + where
                return VerdictError(verdict, what, value=text, remedy=mend)
    if returncode == 0:
        return None
    for text, what, remedy in _BUILD_TABLE:
        if text in output:
            error = ToolMissingError if "not installed" in what else BuildError
            return error(what, value=text, remedy=remedy + where)
    overflow = re.search(r"region `?(\w+)'? overflowed by (\d+) bytes", output)
    if overflow:
        return BuildError(
            f"the firmware does not fit into the board's {overflow.group(1)}",
            value=f"{int(overflow.group(2)):,} bytes too many",
            remedy="use a smaller model, or a board with more memory (semflash boards)",
        )
    tail = "\n".join(_interesting(output))
    if target == "upload":
        return VerdictError(
            Verdict.FLASH_FAILED,
            "PlatformIO could not upload",
            value=tail,
            remedy=f"read the lines above{where}",
        )
    return BuildError(
        "PlatformIO could not build the firmware", value=tail, remedy=f"read the lines above{where}"
    )


def error_line(error: SemflashError) -> str:
    """`error` as a line that an upload command prints and `translate` finds again in pio's output."""
    value = None if error.value is None else str(error.value)
    return _OWN_ERROR + json.dumps(
        {"kind": error.kind, "what": error.what, "value": value, "remedy": error.remedy}
    )


def _own_error(output: str) -> SemflashError | None:
    """The error that `error_line` wrote."""
    for line in output.splitlines():
        if line.startswith(_OWN_ERROR):
            said = json.loads(line.removeprefix(_OWN_ERROR))
            error = ToolMissingError if said["kind"] == ToolMissingError.kind else DeviceError
            return error(said["what"], value=said["value"], remedy=said["remedy"])
    return None


def _interesting(output: str) -> list[str]:
    """Lines that name an error, else the last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.search(r"\berror\b|undefined reference|\*\*\* \[", line, re.IGNORECASE)
    ]
    return (errors or lines)[-_TAIL_LINES:]
