"""``make_library``: device runtime, generated model and the kernels it needs, in one folder.

    DIR/README.md               what it is, sizes, the example
    DIR/LICENSE, NOTICE         of semflash; CMSIS-NN is under the same licence
    DIR/semflash-library.json   bundle, hash and the list of files
    DIR/src/sf_model.h, *.c     the model
    DIR/src/semflash/*.h        the runtime's headers
    DIR/src/runtime, stages, kernels, cmsis_nn
    DIR/examples/encode/...     one picture to a payload
    DIR/<what the format needs> :mod:`semflash.firmware.library.formats`

``src`` is the only include folder, whatever the build system. Same bundle, same bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from semflash.bundle.reader import Bundle
from semflash.errors import BuildError, UsageError
from semflash.firmware import resources
from semflash.firmware.boards.descriptions import Board, load_board
from semflash.firmware.building import sources
from semflash.firmware.building.firmware import check_fits
from semflash.firmware.building.model import Model, generate_model
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.project import exclusive, write_if_changed
from semflash.firmware.library import formats
from semflash.firmware.library.example import Facts, example, readme

MANIFEST = "semflash-library.json"
_LICENCES = ("LICENSE", "NOTICE")
#: Folder of a build folder -> folder of the library.
_PLACES = (
    ("device/include/", "src/"),
    ("device/kernels/include/", "src/"),
    ("device/src/", "src/runtime/"),
    ("device/stages/", "src/stages/"),
    ("device/kernels/", "src/kernels/"),
    ("model/", "src/"),
    ("cmsis/core/", "src/"),
    ("cmsis/nn/Include/", "src/"),
    ("cmsis/nn/Source/", "src/cmsis_nn/"),
)


@dataclass(frozen=True)
class LibraryResult:
    """What was made.

    Attributes:
        directory: Of the library.
        format: Of its manifest.
        name: That its build system knows it by.
        files: Number of files.
        payload_bytes: Of an image.
        state_bytes: RAM of the encoder.
        flash_bytes: Weights and tables; the code comes on top.
        engine: Kernels that run the model.
    """

    directory: str
    format: str
    name: str
    files: int
    payload_bytes: int
    state_bytes: int
    flash_bytes: int
    engine: str


def make_library(
    bundle: Bundle, board: Board, options: BuildOptions, format_name: str, out: Path
) -> LibraryResult:
    """Write the library of a bundle into ``out``.

    Args:
        board: whose flash and RAM the model must fit into, and whose kind chooses the kernels.
        options: engine (aot only), kernels, weights and CMSIS-NN folder count.
        format_name: one of :data:`semflash.firmware.library.formats.FORMATS`.

    Raises:
        UsageError: no such format, or something else lies in ``out``.
        BundleError, ModelError, BuildError: the bundle cannot be compiled, or does not fit.
    """
    if format_name not in formats.FORMATS:
        raise UsageError(
            "no such format of a library",
            value=format_name,
            remedy=f"--format {', '.join(formats.FORMATS)}",
        )
    if options.engine != "aot":
        raise UsageError("a library is made by the engine aot", value=options.engine, remedy="--engine aot")
    model = generate_model(bundle, board, options)
    check_fits(model, board)
    facts = _facts(bundle, model)
    files = library_files(model, facts, format_name)
    with exclusive(_made(out).parent):
        _clear(out, set(files))
        for name, content in files.items():
            write_if_changed(out / name, content)
        manifest = {
            "bundle": bundle.name,
            "hash": bundle.hash_hex,
            "format": format_name,
            "files": list(files),
        }
        write_if_changed(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return LibraryResult(
        directory=str(out),
        format=format_name,
        name=facts.identifier,
        files=len(files) + 1,
        payload_bytes=bundle.payload_bytes,
        state_bytes=model.state_bytes,
        flash_bytes=model.constant_bytes,
        engine=f"aot/{model.kernels}",
    )


def library_files(model: Model, facts: Facts, format_name: str) -> dict[str, bytes]:
    """All files of a library by path, but for its list."""
    root = resources.root()
    gathered = sources.gather(root, load_board("native"), model.files, model.cmsis)
    files: dict[str, bytes] = {}
    for name, content in gathered.items():
        place = _place(name)
        if place is not None:
            files[place] = content
    compiled = sorted(name for name in files if name.endswith(".c"))
    files |= {name: text.encode() for name, text in formats.manifest(format_name, facts, compiled).items()}
    files[formats.example_path(format_name)] = example(facts, format_name).encode()
    files["README.md"] = readme(facts, format_name).encode()
    files |= _licences(root)
    return dict(sorted(files.items()))


def _place(name: str) -> str | None:
    """Where a file of a build folder goes; None: it is of no use in a library (the port of board native)."""
    for old, new in _PLACES:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return None


def _facts(bundle: Bundle, model: Model) -> Facts:
    height, width, channels = bundle.image_shape
    return Facts(
        bundle=bundle.name,
        bundle_hash=bundle.hash_hex,
        identifier="semflash_" + "".join(c if c.isalnum() and c.isascii() else "_" for c in bundle.name),
        height=height,
        width=width,
        channels=channels,
        payload_bytes=bundle.payload_bytes,
        state_bytes=model.state_bytes,
        constant_bytes=model.constant_bytes,
        version=importlib.metadata.version("semflash"),
    )


def _licences(root: Path) -> dict[str, bytes]:
    """LICENSE and NOTICE, from a checkout or from the installed package's metadata."""
    found = {name: (root / name).read_bytes() for name in _LICENCES if (root / name).is_file()}
    for entry in importlib.metadata.files("semflash") or ():
        path = PurePosixPath(str(entry))
        if path.name in _LICENCES and "licenses" in path.parts:
            found.setdefault(path.name, entry.read_binary())
    missing = [name for name in _LICENCES if name not in found]
    if missing:
        raise BuildError(
            "the licence texts of semflash are missing from this installation",
            value=", ".join(missing),
            remedy="install semflash again from a wheel, or run it from a checkout",
        )
    return found


def _made(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.absolute()


def _clear(out: Path, wanted: set[str]) -> None:
    """Make room: files of a library that was made before go, where the new one has none of that name.

    Raises:
        UsageError: the folder holds something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = out / MANIFEST
    if out.is_symlink() or not manifest.is_file():
        raise UsageError(
            "refusing to write a library into a folder that holds something else",
            value=out,
            remedy="--out with another folder",
        )
    for path in sorted(out.rglob("*"), reverse=True):
        name = path.relative_to(out).as_posix()
        if path.is_symlink() or (path.is_file() and name != MANIFEST and name not in wanted):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
