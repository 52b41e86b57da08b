"""Reading a bundle: nothing is believed before its size, type, digest and consistency are checked.

Every failure is a BundleError. Opening a bundle costs the hashing of its files and imports no model runtime;
shapes and quantisation inside the .tflite files are compared with the contract by
:mod:`semflash.bundle.models`, on export and when a graph is loaded to run.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from semflash import atomic
from semflash.bundle.checks import check_contract, check_file_names, check_record
from semflash.bundle.digest import bundle_hash, canonical_json, sha256_hex
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
from semflash.errors import BundleError
from semflash.printable import printable

_TFLITE_IDENTIFIER = b"TFL3"  # bytes 4..7 of a .tflite flatbuffer
_RESTORE = "fetch or export the bundle again; a bundle is never edited by hand"


@dataclass(frozen=True)
class Bundle:
    """A checked bundle in memory.

    Attributes:
        path: directory it was read from.
        contract: what device and edge agree on.
        record: how it came about.
        files: content of every file the contract and the record name, by file name.
        hash_hex: bundle hash, 64 hex digits.
    """

    path: Path
    contract: Contract
    record: Record
    files: dict[str, bytes]
    hash_hex: str

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def hash32(self) -> int:
        """First 32 bits of the hash, as firmware and frames carry it (0 means "any" and is never used)."""
        return int(self.hash_hex[:8], 16)

    @property
    def encoder_tflite(self) -> bytes:
        return self.files[self.contract.device_graphs[0].model.file]

    @property
    def decoder_tflite(self) -> bytes:
        return self.files[self.contract.decoder.file]

    @property
    def tail_tflite(self) -> bytes:
        return self.files[self.contract.task_tail.file]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        image = self.contract.input
        return image.height, image.width, image.channels

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the codes of one image."""
        graph = self.contract.device_graphs[0]
        return graph.height, graph.width, graph.channels

    @property
    def payload_bytes(self) -> int:
        return self.contract.payload.payload_bytes

    @property
    def bits_per_symbol(self) -> int:
        return self.contract.payload.bits_per_symbol


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
    codec = parse_codec(_read_file(path, CODEC_FILE, CODEC_JSON_MAX_BYTES))
    contract, record = codec.contract, codec.record
    references = [g.model for g in contract.device_graphs] + [contract.decoder, contract.task_tail]
    models = {r.file for r in references}
    if record.history is not None:
        references.append(record.history)
    files: dict[str, bytes] = {}
    for reference in references:
        files[reference.file] = _read_checked(path, reference)
    for name in models:
        if files[name][4:8] != _TFLITE_IDENTIFIER:
            raise BundleError("not a .tflite file", value=name, remedy=_RESTORE)
    return Bundle(path, contract, record, files, codec.digest.contract)


def parse_codec(data: bytes) -> Codec:
    """Parse and check the bytes of ``codec.json`` (no other file is looked at).

    Raises:
        BundleError: anything is wrong with it.
    """
    _check_envelope(data)
    try:
        codec = decode_codec(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{CODEC_FILE} does not follow the schema: {_one_line(error)}", remedy=_RESTORE
        ) from error
    check_contract(codec.contract)
    check_record(codec.record)
    check_file_names(codec.contract, codec.record)
    _check_digest("contract", codec.digest.contract, codec.contract)
    _check_digest("record", codec.digest.record, codec.record)
    if bundle_hash(codec.contract)[:8] == "00000000":
        raise BundleError(
            "bundle hash starts with 32 zero bits, which mean 'any'", remedy="rename the bundle"
        )
    return codec


def _check_envelope(data: bytes) -> None:
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


def _one_line(text: object) -> str:
    """Words that hold parts of the file, fit for a terminal: printable and not long."""
    line = printable(str(text)[:300])
    return line if len(str(text)) <= 300 else line + " ..."


def _check_digest(part: str, expected: str, value: Contract | Record) -> None:
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
