"""Operations that write, without TensorFlow: how each begins, what it does, and what its readers see."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kill.stopping import Scenario
from semflash import atomic
from semflash.bundle import known
from semflash.bundle.reader import Bundle, read_bundle
from semflash.bundle.schema import Contract
from semflash.bundle.writer import update_record, write_bundle
from semflash.edge.records import RecordWriter
from semflash.errors import BuildError, BundleError, UsageError
from semflash.firmware.boards import add as board_add
from semflash.firmware.boards.add import Changes, add_board
from semflash.firmware.boards.descriptions import load_board
from semflash.firmware.boards.hardware_map import read_map, update_map
from semflash.firmware.boards.probe import Probe
from semflash.firmware.building import firmware as build
from semflash.firmware.building.model import generate_model
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.result import BuildResult
from semflash.firmware.emulator import state as emulator_state
from semflash.link.faults.log import FaultLog
from semflash.link.raw_record import FROM_DEVICE, RawReader, RawRecorder
from semflash.report.results import Budget, ResultStore, RunResult

TINY = Path(__file__).resolve().parents[1] / "vectors" / "tiny.semcodec"
NOTHING = "nothing"
_HASH = "5" * 64


def nothing_before(folder: Path) -> None:
    """The folder stays empty."""


# Bundles


def _renamed(bundle: Bundle) -> Contract:
    return msgspec.structs.replace(bundle.contract, name="successor")


def _write_old_bundle(folder: Path) -> None:
    tiny = read_bundle(TINY)
    write_bundle(folder / "x.semcodec", tiny.contract, tiny.record, tiny.files)


def _write_new_bundle(folder: Path) -> None:
    tiny = read_bundle(TINY)
    with contextlib.suppress(BundleError):  # it is whole already, and nobody asked to replace it
        write_bundle(folder / "x.semcodec", _renamed(tiny), tiny.record, tiny.files)


def _overwrite_bundle(folder: Path) -> None:
    tiny = read_bundle(TINY)
    write_bundle(folder / "x.semcodec", _renamed(tiny), tiny.record, tiny.files, overwrite=True)


def _overwrite_without_exchange(folder: Path) -> None:
    atomic._exchange = lambda first, second: False
    _overwrite_bundle(folder)


def _update_bundle(folder: Path) -> None:
    bundle = read_bundle(folder / "x.semcodec")
    update_record(bundle, msgspec.structs.replace(bundle.record, seed=1234))


def _look_at_bundle(folder: Path) -> Any:
    try:
        bundle = read_bundle(folder / "x.semcodec")
    except BundleError as error:
        if "no such bundle" in error.what:
            return NOTHING
        raise
    return [bundle.name, bundle.hash_hex, bundle.record.seed]


# Recordings: a stopped one holds the whole records that were written

_LINES = 4


def _records(folder: Path, count: int, word: str) -> None:
    with RecordWriter(folder / "run.jsonl") as writer:
        for index in range(count):
            writer.write("image", {"index": index, "word": word})


def _look_at_lines(path: Path) -> Any:
    lines = path.read_bytes().split(b"\n")[:-1]  # a line without its end is not there yet
    return [json.loads(line) for line in lines]


def _raw(folder: Path, count: int, word: str) -> None:
    with RawRecorder(folder / "run.sfraw", {"bundle": word}, clock=lambda: 1.0) as recorder:
        for index in range(count):
            recorder.add(FROM_DEVICE, bytes([index]) * 9)
            recorder.note({"index": index})


def _look_at_raw(folder: Path) -> Any:
    with RawReader(folder / "run.sfraw") as reader:
        return [reader.header["bundle"], *(record.data.hex() for record in reader.records())]


def _faults(folder: Path, count: int, kind: str) -> None:
    with FaultLog(folder / "faults.jsonl") as log:
        for index in range(count):
            log.add(0.5, "up", index, kind)


def _begins(seen: Any, old: Any, new: Any) -> bool:
    """The new recording, cut off behind a whole record."""
    return bool(seen) and seen == new[: len(seen)]


def _begins_or_is_empty(seen: Any, old: Any, new: Any) -> bool:
    return bool(seen == new[: len(seen)])


# State of the desk


def _probes(*serials: str) -> list[Probe]:
    return [Probe(f"/dev/ttyACM{i}", "0483:374b", serial) for i, serial in enumerate(serials)]


def _look_at_map(folder: Path) -> Any:
    path = folder / "map.toml"
    return msgspec.to_builtins(read_map(path).entries) if path.exists() else NOTHING


def _state(port: str) -> emulator_state.EmulatorState:
    """Of a process that lives as long as the machine."""
    birth = emulator_state.birth(1)
    assert birth is not None
    return emulator_state.EmulatorState(
        board="b",
        pid=1,
        birth=birth,
        port=port,
        image="i",
        image_sha256="0",
        bundle_hash="1",
        build_id="2",
        started_unix=0.0,
    )


def _save_state(folder: Path, port: str) -> None:
    _at_home(folder)
    emulator_state.save(_state(port))


def _forget_state(folder: Path) -> None:
    _at_home(folder)
    emulator_state.forget("b")


def _look_at_state(folder: Path) -> Any:
    _at_home(folder)
    found = emulator_state.running()
    return [state.port for state in found]


def _add_board(folder: Path) -> None:
    with contextlib.suppress(UsageError):  # it is there
        add_board("mine", "nucleo_f446re", Changes(ram_bytes=65_536), folder / "boards")


def _look_at_boards(folder: Path) -> Any:
    os.environ["SEMFLASH_BOARDS_DIR"] = str(folder / "boards")
    board_add.list_boards()  # a file that is half would be refused, and every command with it
    with contextlib.suppress(BuildError, UsageError):
        return load_board("mine").ram_bytes
    return NOTHING


def _at_home(folder: Path) -> None:
    os.environ["SEMFLASH_STATE_DIR"] = str(folder / "state")


def _remember(folder: Path) -> None:
    _at_home(folder)
    known.remember(_HASH, exported=True)


def _look_at_known(folder: Path) -> Any:
    _at_home(folder)
    return known.is_known(_HASH)


# Build folders

_COMPILER = '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncat {sources} > "$2"\n'


@cache
def _model(name: str) -> Any:
    return generate_model(_build_subject(name), load_board("native"), BuildOptions())


def _build_subject(name: str) -> Bundle:
    tiny = read_bundle(TINY)
    if name == "old":
        return tiny
    return msgspec_replaced(tiny)


def msgspec_replaced(bundle: Bundle) -> Bundle:
    """The same network under another name, and so of another hash."""
    import dataclasses

    from semflash.bundle.digest import bundle_hash

    contract = _renamed(bundle)
    return dataclasses.replace(bundle, contract=contract, hash_hex=bundle_hash(contract))


def _models_made() -> None:
    for name in ("old", "new"):
        _model(name)


def _build(folder: Path, name: str) -> None:
    """A native build with a compiler that puts the generated files into the image, to be told by them."""
    compiler = folder.parent / "cc"
    compiler.write_text(_COMPILER.format(sources=folder / "build" / "model" / "*"))
    compiler.chmod(0o755)
    os.environ["CC"] = str(compiler)
    build.generate_model = lambda *_: _model(name)
    build.build_bundle(
        _build_subject(name), load_board("native"), BuildOptions(out_dir=folder / "build", pilot_bytes=4)
    )


def _look_at_build(folder: Path) -> Any:
    try:
        built = BuildResult.load(folder / "build")
    except BuildError as error:
        if "nothing was built" in error.what:
            return NOTHING
        raise
    return [built.build_id, hashlib.sha256(built.image_path.read_bytes()).hexdigest()]


def _is_not_built(seen: Any, old: Any, new: Any) -> bool:
    """Of a build folder: it says that nothing is built there."""
    return bool(seen == NOTHING)


# Results, caches


def _result(folder: Path, seed: int) -> None:
    ResultStore(folder).put(
        RunResult(
            experiment="e",
            run="r",
            method="m",
            title="t",
            kind="learned",
            payload_bytes=48,
            seed=seed,
            budget=Budget("b", "t"),
            settings={},
            fingerprint="f",
            rows=[],
        )
    )


def _look_at_result(folder: Path) -> Any:
    found = ResultStore(folder).get("e", "r")
    return NOTHING if found is None else found.seed


def _work_in_scratch(folder: Path) -> None:
    with atomic.scratch(folder, ".work.") as place:
        (place / "a").write_bytes(b"a")
        (place / "b").mkdir()
        (place / "b" / "c").write_bytes(np.zeros(9, np.int8).tobytes())


ALL = (
    Scenario("bundle, first write", nothing_before, _write_new_bundle, _look_at_bundle),
    Scenario("bundle, overwrite", _write_old_bundle, _overwrite_bundle, _look_at_bundle),
    Scenario(
        "bundle, overwrite where names cannot be exchanged",
        _write_old_bundle,
        _overwrite_without_exchange,
        _look_at_bundle,
    ),
    Scenario("bundle, new record", _write_old_bundle, _update_bundle, _look_at_bundle),
    Scenario(
        "records over an older file",
        lambda folder: _records(folder, 9, "old"),
        lambda folder: _records(folder, _LINES, "new"),
        lambda folder: _look_at_lines(folder / "run.jsonl"),
        _begins,
    ),
    Scenario(
        "raw recording over an older file",
        lambda folder: _raw(folder, 9, "old"),
        lambda folder: _raw(folder, _LINES, "new"),
        _look_at_raw,
        _begins,
    ),
    Scenario(
        "log of faults over an older file",
        lambda folder: _faults(folder, 9, "old"),
        lambda folder: _faults(folder, _LINES, "new"),
        lambda folder: _look_at_lines(folder / "faults.jsonl"),
        _begins_or_is_empty,
    ),
    Scenario(
        "hardware map, first scan",
        nothing_before,
        lambda folder: (update_map(folder / "map.toml", _probes("A1", "B2")), None)[1],
        _look_at_map,
    ),
    Scenario(
        "hardware map, another scan",
        lambda folder: (update_map(folder / "map.toml", _probes("A1")), None)[1],
        lambda folder: (update_map(folder / "map.toml", _probes("A1", "B2")), None)[1],
        _look_at_map,
    ),
    Scenario(
        "emulator state, save",
        lambda folder: _save_state(folder, "/dev/pts/1"),
        lambda folder: _save_state(folder, "/dev/pts/2"),
        _look_at_state,
    ),
    Scenario(
        "emulator state, forget", lambda folder: _save_state(folder, "/p"), _forget_state, _look_at_state
    ),
    Scenario("board description", nothing_before, _add_board, _look_at_boards),
    Scenario("bundle that was tried", nothing_before, _remember, _look_at_known),
    Scenario(
        "native build, first",
        nothing_before,
        lambda folder: _build(folder, "new"),
        _look_at_build,
        ready=_models_made,
    ),
    Scenario(
        "native build, another bundle",
        lambda folder: _build(folder, "old"),
        lambda folder: _build(folder, "new"),
        _look_at_build,
        _is_not_built,
        ready=_models_made,
    ),
    Scenario(
        "result of an experiment",
        lambda folder: _result(folder, 1),
        lambda folder: _result(folder, 2),
        _look_at_result,
    ),
    Scenario("folder for work in progress", nothing_before, _work_in_scratch, lambda folder: NOTHING),
)


# What the harness has to find, for its own test


def _in_place(folder: Path, text: str) -> None:
    with (folder / "a").open("w") as file:
        file.write(text)


def _by_a_new_name(folder: Path, text: str) -> None:
    temporary = folder / f".a.{os.getpid()}"
    temporary.write_text(text)
    temporary.replace(folder / "a")


def _exclusively(folder: Path) -> None:
    with (folder / ".lock").open("x"):
        _by_a_new_name(folder, "new")
    (folder / ".lock").unlink()


def _look_at_text(folder: Path) -> Any:
    return (folder / "a").read_text()


WRONG = (
    Scenario(
        "a file written in place",
        lambda folder: _in_place(folder, "old"),
        lambda folder: _in_place(folder, "new"),
        _look_at_text,
    ),
    Scenario(
        "a temporary name that is never the same",
        lambda folder: _in_place(folder, "old"),
        lambda folder: _by_a_new_name(folder, "new"),
        _look_at_text,
    ),
    Scenario(
        "a rerun that trips over what is there",
        lambda folder: _in_place(folder, "old"),
        _exclusively,
        _look_at_text,
    ),
)
