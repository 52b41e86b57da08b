"""semflash.toml: the settings of a project, one typed tree; the command line's flags override them.

The file is looked for in the working directory and its parents, or named with ``--config``. Unknown keys and
wrong types are refused with the key's path. All keys: ``docs/settings.md``.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from semflash.errors import UsageError

FILE_NAME = "semflash.toml"
MAX_BYTES = 1 << 20
#: Of a bundle's folder: a name that ends so is never one of the zoo.
BUNDLE_SUFFIX = ".semcodec"

#: How traces of rates begin that are no files (:mod:`semflash.channels.rate_trace`).
MADE_TRACES = ("steady:", "fading:", "alternating:")

Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Ber = Annotated[float, Meta(ge=0.0, le=0.5)]
Decibels = Annotated[float, Meta(ge=-100.0, le=100.0)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Rate = Annotated[int, Meta(ge=1, le=65_535)]
Seed = Annotated[int, Meta(ge=0, le=(1 << 53))]

_T = TypeVar("_T")


class BuildSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[build]: what is built for which board. None: the flag is needed, or the verb's own default holds."""

    bundle: Text | None = None
    board: Text = "qemu-stm32f405"
    engine: Text = "aot"
    kernels: Text = "auto"
    out_dir: Text | None = None
    weights: Text = "fast"
    cmsis_nn_dir: Text | None = None
    tflm_dir: Text | None = None
    pilot_bytes: Annotated[int, Meta(ge=0, le=1024)] = 4


class LinkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[link]: the serial port (None: found from the board); timeout_s: silence that counts as lost."""

    port: Text | None = None
    baud: Annotated[int, Meta(ge=1200, le=20_000_000)] | None = None
    timeout_s: Annotated[float, Meta(gt=0.0, le=600.0)] = 10.0


class MonitorSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[monitor]: which images run through the board and what damage is injected on the way.

    ber, assume_ber: for bundles that are told a bit error rate; snr (None: no noise), assume_snr: an SNR.
    ber_window: None: as many pilot bits as the kind of quality takes. rate (bytes), rate_trace: for bundles
    that have a control in bytes, one of the two.

    dataset: None: the one the bundle was trained on. count: None: 200, or all where there are fewer.
    sample_seed: which images a smaller count is."""

    dataset: Text | None = None
    data_dir: Text | None = None
    count: Count | None = None
    sample_seed: Seed = 0
    ber: Ber = 0.0
    snr: Decibels | None = None
    assume_ber: Ber | None = None
    assume_snr: Decibels | None = None
    ber_known: bool = False
    ber_window: Annotated[int, Meta(ge=32, le=1 << 30)] | None = None
    rate: Rate | None = None
    rate_trace: Text | None = None
    fault: Text | None = None
    seed: Seed = 0
    record: Text | None = None
    record_raw: Text | None = None
    check_golden: bool = False


class TrainSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[train]: recipe, where data lies and where runs go.

    task, codec: fields of the two recipes, as --task-set and --set give them; tables may be nested.
    task_steps, codec_steps: the length of both trainings in steps instead of epochs (None: the recipe's).
    task_run: a trained or imported task network, as --task.
    """

    recipe: Text | None = None
    dataset: Text | None = None
    data_dir: Text | None = None
    out_dir: Text | None = None
    seed: Seed | None = None
    task_run: Text | None = None
    task_steps: Count | None = None
    codec_steps: Count | None = None
    skip_bad: bool = False
    task: dict[str, Any] = {}
    codec: dict[str, Any] = {}


class EvaluateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """[evaluate]: levels and number of test images (None: all); dataset as in [monitor].

    bers: for bundles that are told a bit error rate; snrs: for those that are told an SNR in dB.
    rate: bytes, for bundles that have a control in bytes.
    """

    dataset: Text | None = None
    data_dir: Text | None = None
    bers: Annotated[tuple[Ber, ...], Meta(min_length=1, max_length=64)] = (
        0.0,
        1e-4,
        2.5e-3,
        1e-2,
        2.5e-2,
        5e-2,
    )
    snrs: Annotated[tuple[Decibels, ...], Meta(min_length=1, max_length=64)] = (20.0, 15.0, 10.0, 5.0, 0.0)
    rate: Rate | None = None
    count: Count | None = None
    sample_seed: Seed = 0
    seed: Seed = 0


class _Tables(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file may hold."""

    build: BuildSettings = BuildSettings()
    link: LinkSettings = LinkSettings()
    monitor: MonitorSettings = MonitorSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()


class Settings(_Tables, frozen=True, forbid_unknown_fields=True):
    """The whole tree; `path` is the file it came from (None: no file, all defaults).

    Paths in the file count from the file's folder; here they are joined with it.
    """

    path: Path | None = None


#: Keys that hold paths, by table. [build] bundle is one where it is written as a path or such a folder
#: exists, else a name of the zoo.
_PATHS = {
    "build": ("out_dir", "cmsis_nn_dir", "tflm_dir"),
    "monitor": ("data_dir", "record", "record_raw"),
    "train": ("data_dir", "out_dir", "task_run"),
    "evaluate": ("data_dir",),
}
#: Data sets by name, or image folders, which are written with a "/" (``./photos``).
_FOLDERS_OR_NAMES = {"monitor": "dataset", "train": "dataset", "evaluate": "dataset"}


def first(*values: _T | None) -> _T | None:
    """The first value that is not None: ``first(flag, setting)``.

    >>> first(None, 0, 3)
    0
    """
    return next((value for value in values if value is not None), None)


def find_settings(start: Path) -> Path | None:
    """semflash.toml in `start` or the nearest parent that has one."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def load_settings(config: Path | None = None, *, start: Path | None = None) -> Settings:
    """Settings from `config`, else from the semflash.toml found from `start` (working directory) upward.

    Raises:
        UsageError: the file is missing, not TOML, has an unknown key or a value of the wrong type or range.
    """
    path = config if config is not None else find_settings((start or Path.cwd()).resolve())
    if path is None:
        return Settings()
    return parse_settings(_read(path), path.resolve())


def parse_settings(text: str, path: Path) -> Settings:
    """Settings from the text of the file at `path` (used in messages and as the base of relative paths)."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise UsageError(
            f"{path.name} is not TOML: {error}", value=path, remedy="see docs/settings.md"
        ) from error
    _check_keys(data, path)
    try:
        tables = msgspec.convert(data, _Tables)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{path.name} holds a wrong value: {_with_key(str(error))}",
            value=path,
            remedy="docs/settings.md lists every key with its type and range",
        ) from error
    values: dict[str, Any] = {}
    for name in _Tables.__struct_fields__:
        values[name] = _absolute(getattr(tables, name), name, path.parent)
    return Settings(**values, path=path)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path.name} is longer than {MAX_BYTES} bytes", value=path)
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot read the settings: {error.strerror}", value=path, remedy="name a file with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path.name} is not UTF-8: {error.reason} at byte {error.start}", value=path
        ) from error


def _check_keys(data: dict[str, Any], path: Path) -> None:
    """Refuse unknown tables and keys, with the nearest known one."""
    tables = {field.name: field.type for field in msgspec.structs.fields(_Tables)}
    for table, content in data.items():
        if table not in tables:
            raise _unknown("", table, list(tables), path)
        if not isinstance(content, dict):
            raise UsageError(
                f"[{table}] in {path.name} must be a table", value=path, remedy=f"write [{table}]"
            )
        keys = list(tables[table].__struct_fields__)
        for key in content:
            if key not in keys:
                raise _unknown(f"{table}.", key, keys, path)


def _unknown(prefix: str, name: str, known: list[str], path: Path) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    every = ", ".join(prefix + key for key in known)
    remedy = f"did you mean {prefix}{near[0]}?" if near else f"known: {every}"
    what = "key" if prefix else "table"
    return UsageError(f"unknown {what} {prefix + name[:80]!r} in {path.name}", value=path, remedy=remedy)


def _with_key(message: str) -> str:
    """msgspec writes "... - at `$.link.baud`"; say "link.baud: ..."."""
    text, _, where = message.partition(" - at `$.")
    return f"{where.rstrip('`')}: {text}" if where else text


def _absolute(table: _T, name: str, base: Path) -> _T:
    """The table with its paths made absolute."""
    changes: dict[str, str] = {}
    for key in _PATHS.get(name, ()):
        value = getattr(table, key)
        if value is not None:
            changes[key] = str(base / value)
    rates = getattr(table, "rate_trace", None)
    if rates is not None and not rates.startswith(MADE_TRACES):
        changes["rate_trace"] = str(base / rates)
    folder = getattr(table, _FOLDERS_OR_NAMES.get(name, ""), None)
    if folder is not None and "/" in folder:
        changes["dataset"] = str(base / folder)
    bundle = getattr(table, "bundle", None)
    if bundle is not None and ("/" in bundle or bundle.endswith(BUNDLE_SUFFIX) or (base / bundle).is_dir()):
        changes["bundle"] = str(base / bundle)
    return msgspec.structs.replace(table, **changes) if changes else table  # type: ignore[type-var]
