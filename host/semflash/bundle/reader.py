"""Reading a bundle: nothing is believed before its size, type, digest and consistency are checked.

Every failure is a BundleError. Opening a bundle costs the hashing of its files and imports no model runtime;
shapes and quantisation inside the .tflite files are compared with the contract by
:mod:`semflash.bundle.models`, on export and when a graph is loaded to run.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from semflash import atomic
from semflash.bundle.checks import check_contract, check_file_names, check_record, references
from semflash.bundle.digest import bundle_hash, canonical_json, sha256_hex
from semflash.bundle.older_record import (
    SCHEMA_VERSION2,
    Codec2,
    OlderRecord,
    decode_codec2,
    record_of,
)
from semflash.bundle.schema import (
    CODEC_FILE,
    CODEC_JSON_MAX_BYTES,
    FORMAT,
    SCHEMA_VERSION,
    SUFFIX,
    Codec,
    Contract,
    Envelope,
    FileRef,
    Record,
    decode_codec,
)
from semflash.bundle.version1 import (
    SCHEMA_VERSION1,
    Codec1,
    Contract1,
    check_contract1,
    contract_of,
    decode_codec1,
)
from semflash.errors import BundleError
from semflash.printable import printable
from semflash.program.program import Program
from semflash.program.quality import Quality
from semflash_codegen.schema import FILE_IDENTIFIER

if TYPE_CHECKING:
    from semflash.outputs.output import Output

_RESTORE = "fetch or export the bundle again; a bundle is never edited by hand"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory.

    Attributes:
        path: directory it was read from.
        contract: what device and edge agree on, whatever version it was written in.
        record: how it came about.
        files: content of every file the contract and the record name, by file name.
        hash_hex: bundle hash, 64 hex digits.
        written: the contract as it stands on disk and is hashed.
    """

    path: Path
    contract: Contract
    record: Record
    files: dict[str, bytes]
    hash_hex: str
    written: Contract | Contract1

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def hash32(self) -> int:
        """First 32 bits of the hash, as firmware and frames carry it (0 means "any" and is never used)."""
        return int(self.hash_hex[:8], 16)

    @property
    def program(self) -> Program:
        """Everything the device does."""
        return self.contract.program

    @property
    def models(self) -> dict[str, bytes]:
        """The program's graphs by name, each the content of a .tflite file."""
        return {model.name: self.files[model.file.file] for model in self.contract.models}

    @property
    def edge(self) -> dict[str, bytes]:
        """The edge graphs by name, each the content of a .tflite file, in the order of running."""
        return {graph.name: self.files[graph.file.file] for graph in self.contract.edge}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        height, width, channels = self.program.tensor(self.program.image).shape
        return height, width, channels

    @property
    def output(self) -> Output:
        """How the output of the edge is read, judged, recorded and shown."""
        return self.contract.output

    @property
    def picture(self) -> str | None:
        """The edge graph that gives a picture beside the output; None: there is none."""
        name = self.contract.picture
        return None if isinstance(name, msgspec.UnsetType) else name

    @property
    def level_map(self) -> str | None:
        """The tensor of codes that is the level of each patch; None: there is none."""
        name = self.contract.level_map
        return None if isinstance(name, msgspec.UnsetType) else name

    @property
    def quality(self) -> Quality:
        """The kind of channel quality that the decoder is told, with the range it was trained for."""
        return self.program.quality

    @property
    def payload_bytes(self) -> int:
        """The most bytes of a payload."""
        return self.program.payload_bytes_max


def resolve_bundle(name_or_path: str | Path) -> Path:
    """A path to a bundle, or the name of a bundle of the zoo.

    Raises:
        BundleError: neither exists; the zoo's names are listed.
    """
    path = Path(name_or_path)
    try:
        if path.suffix == SUFFIX:
            atomic.restore_folder(path)
        if path.is_dir():
            return path
    except OSError as error:  # a name too long, a folder that may not be entered
        raise BundleError(
            f"cannot open the bundle: {error.strerror}", value=str(path)[:100], remedy="check the path"
        ) from error
    names = zoo_names()
    if str(name_or_path) in names:
        return zoo_dir() / f"{name_or_path}{SUFFIX}"
    known = ", ".join(names) if names else "none installed"
    raise BundleError(
        "no such bundle", value=name_or_path, remedy=f"a path to NAME{SUFFIX}, or one of the zoo: {known}"
    )


def zoo_dir() -> Path:
    """Folder of the bundles that come with semflash."""
    return Path(__file__).resolve().parent.parent / "zoo"


def zoo_names() -> list[str]:
    """Names of the bundles that come with semflash, sorted."""
    return sorted(p.name.removesuffix(SUFFIX) for p in zoo_dir().glob(f"*{SUFFIX}") if p.is_dir())


def read_bundle(name_or_path: str | Path) -> Bundle:
    """Read and check a bundle.

    Args:
        name_or_path: directory, or a name of the zoo.

    Raises:
        BundleError: missing, truncated, corrupt, tampered with, inconsistent or of a newer schema.
    """
    return read_directory(resolve_bundle(name_or_path))


def read_directory(path: Path) -> Bundle:
    """Read and check the bundle in the directory ``path`` (no zoo look-up)."""
    parsed = parse_codec(_read_file(path, CODEC_FILE, CODEC_JSON_MAX_BYTES))
    files: dict[str, bytes] = {}
    for reference in references(parsed.contract, parsed.record):
        files[reference.file] = _read_checked(path, reference)
    history = None if parsed.record.history is None else parsed.record.history.file
    for name, data in files.items():
        if name != history and data[4:8] != FILE_IDENTIFIER:
            raise BundleError("not a .tflite file", value=name, remedy=_RESTORE)
    return Bundle(path, parsed.contract, parsed.record, files, parsed.hash_hex, parsed.written)


@dataclass(frozen=True)
class Parsed:
    """``codec.json``, checked; attributes as those of :class:`Bundle`."""

    contract: Contract
    record: Record
    hash_hex: str
    written: Contract | Contract1


def parse_codec(data: bytes) -> Parsed:
    """Parse and check the bytes of ``codec.json`` (no other file is looked at).

    Raises:
        BundleError: anything is wrong with it.
    """
    version = _check_envelope(data)
    try:
        file = _DECODERS[version](data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{CODEC_FILE} does not follow the schema: {_one_line(error)}", remedy=_RESTORE
        ) from error
    written: Contract | Contract1 = file.contract
    contract = today(written)
    check_contract(contract)
    record = file.record if isinstance(file.record, Record) else record_of(file.record)
    check_record(record)
    check_file_names(contract, record)
    _check_digest("contract", file.digest.contract, written)
    _check_digest("record", file.digest.record, file.record)
    if bundle_hash(written)[:8] == "00000000":
        raise BundleError(
            "bundle hash starts with 32 zero bits, which mean 'any'", remedy="rename the bundle"
        )
    return Parsed(contract, record, file.digest.contract, written)


#: How each schema version is parsed.
_DECODERS: dict[int, Callable[[bytes], Codec1 | Codec2 | Codec]] = {
    SCHEMA_VERSION1: decode_codec1,
    SCHEMA_VERSION2: decode_codec2,
    SCHEMA_VERSION: decode_codec,
}


def today(written: Contract | Contract1) -> Contract:
    """A contract of any version as one of today. BundleError: one of version 1 contradicts itself."""
    if isinstance(written, Contract):
        return written
    check_contract1(written)
    return contract_of(written)


def _check_envelope(data: bytes) -> int:
    """The schema version."""
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BundleError(f"{CODEC_FILE} is damaged: {_one_line(error)}", remedy=_RESTORE) from error
    if envelope.format != FORMAT:
        raise BundleError(
            f"{CODEC_FILE} is not a semflash codec", value=_one_line(envelope.format), remedy=_RESTORE
        )
    if envelope.schema_version > SCHEMA_VERSION:
        raise BundleError(
            f"the bundle is of a newer schema than this semflash reads ({SCHEMA_VERSION})",
            value=envelope.schema_version,
            remedy="update semflash: pip install --upgrade semflash",
        )
    return envelope.schema_version


def _one_line(text: object) -> str:
    """Words that hold parts of the file, fit for a terminal: printable and not long."""
    line = printable(str(text)[:300])
    return line if len(str(text)) <= 300 else line + " ..."


def _check_digest(part: str, expected: str, value: Contract | Contract1 | Record | OlderRecord) -> None:
    try:
        found = sha256_hex(canonical_json(value))
    except ValueError as error:
        raise BundleError(f"{part} in {CODEC_FILE} holds a bad value: {error}", remedy=_RESTORE) from error
    if found != expected:
        raise BundleError(
            f"{part} in {CODEC_FILE} was changed after it was written (digest differs)",
            value=f"{found[:16]}..., digest says {expected[:16]}...",
            remedy=_RESTORE,
        )


def _read_checked(path: Path, reference: FileRef) -> bytes:
    data = _read_file(path, reference.file, reference.size_bytes)
    if len(data) != reference.size_bytes:
        raise BundleError(
            f"{reference.file} is truncated",
            value=f"{len(data)} of {reference.size_bytes} bytes",
            remedy=_RESTORE,
        )
    if sha256_hex(data) != reference.sha256:
        raise BundleError(
            f"{reference.file} was changed after export (SHA-256 differs)", value=path, remedy=_RESTORE
        )
    return data


def _read_file(path: Path, name: str, limit: int) -> bytes:
    """Read a plain file of at most ``limit`` bytes; links, devices and pipes are refused."""
    try:
        descriptor = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BundleError(
                "a file of the bundle is a symbolic link", value=name, remedy=_RESTORE
            ) from error
        raise BundleError(
            f"cannot read {name} of the bundle: {error.strerror}", value=path, remedy=_RESTORE
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError("not a plain file", value=name, remedy=_RESTORE)
        if status.st_size > limit:
            raise BundleError(
                f"{name} is larger than it may be", value=f"{status.st_size} > {limit} bytes", remedy=_RESTORE
            )
        try:
            return file.read(limit + 1)[:limit]
        except OSError as error:
            raise BundleError(f"cannot read {name}: {error.strerror}", value=path, remedy=_RESTORE) from error
