"""Writing a bundle: whole or not at all.

A bundle is made in a hidden directory beside its place, read back and checked there, then renamed, or
exchanged with the one that it replaces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from semflash import atomic
from semflash.bundle.checks import check_contract, check_file_names, check_record, references
from semflash.bundle.digest import bundle_hash, canonical_json, sha256_hex
from semflash.bundle.older_record import OlderRecord, older_record
from semflash.bundle.reader import Bundle, parse_codec, read_directory, today
from semflash.bundle.schema import CODEC_FILE, FORMAT, SCHEMA_VERSION, SUFFIX, Codec, Contract, Digest, Record
from semflash.bundle.version1 import SCHEMA_VERSION1, Codec1, Contract1
from semflash.errors import BundleError
from semflash.fields import Name


def encode_codec(contract: Contract | Contract1, record: Record) -> bytes:
    """The bytes of ``codec.json``: indented JSON, keys in schema order, newline at the end.

    A contract of version 1 is written as it was, so that a new record does not change the bundle's hash; its
    record keeps the old form, too. BundleError: something does not fit.
    """
    check_contract(today(contract))
    check_record(record)
    check_file_names(today(contract), record)
    codec: Codec | Codec1
    if isinstance(contract, Contract1):
        older = older_record(record)
        codec = Codec1(FORMAT, SCHEMA_VERSION1, contract, older, _digest(contract, older))
    else:
        codec = Codec(FORMAT, SCHEMA_VERSION, contract, record, _digest(contract, record))
    return msgspec.json.format(msgspec.json.encode(codec), indent=1) + b"\n"


def _digest(contract: Contract | Contract1, record: Record | OlderRecord) -> Digest:
    return Digest(contract=bundle_hash(contract), record=sha256_hex(canonical_json(record)))


def write_bundle(
    path: str | Path,
    contract: Contract | Contract1,
    record: Record,
    files: Mapping[str, bytes],
    *,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle directory and read it back.

    Args:
        path: the directory to make, ``NAME.semcodec``.
        contract: with a FileRef (see :func:`semflash.bundle.digest.file_ref`) for every model in ``files``.
        record: with a FileRef for the history if ``files`` holds one.
        files: file name -> content; exactly the files that contract and record name.
        overwrite: replace an existing bundle (never anything that is not a bundle).

    Raises:
        BundleError: inconsistent parts, the place is taken, or it cannot be written.
    """
    target = Path(path)
    check_place(target, overwrite)
    named = {reference.file for reference in references(today(contract), record)}
    if named != set(files):
        raise BundleError("files given and files named differ", value=sorted(named ^ set(files)))
    codec = encode_codec(contract, record)
    parse_codec(codec)  # before any name in it becomes a path
    with _write_errors(target), atomic.scratch(target.parent, f".{target.name}.") as made:
        made.chmod(0o755)
        for name, data in (*files.items(), (CODEC_FILE, codec)):
            atomic.write(made / name, data, new=True)
        bundle = read_directory(made)
        check_place(target, overwrite)
        atomic.put_folder(made, target)
    return replace(bundle, path=target)


def update_record(bundle: Bundle, record: Record) -> Bundle:
    """Replace the record of a bundle on disk; the contract, and with it the bundle hash, stays.

    Raises:
        BundleError: the bundle on disk is no longer the one that was read, or cannot be written.
    """
    current = read_directory(bundle.path)
    if current.hash_hex != bundle.hash_hex:
        raise BundleError(
            "the bundle was replaced meanwhile", value=bundle.path, remedy="run the command again"
        )
    data = encode_codec(bundle.written, record)
    parse_codec(data)
    with _write_errors(bundle.path):
        atomic.write(bundle.path / CODEC_FILE, data)
    return read_directory(bundle.path)


@contextlib.contextmanager
def _write_errors(place: Path) -> Iterator[None]:
    """A full disk or a missing permission as BundleError."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"cannot write the bundle: {error.strerror}",
            value=place,
            remedy="check permissions and free space",
        ) from error


def check_name(name: str) -> None:
    """Refuse a name the schema does not allow. BundleError."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise BundleError(
            "not a bundle name",
            value=name[:80],
            remedy="lower-case letters, digits, '.', '_', '-', at most 64",
        ) from error


def check_place(target: Path, overwrite: bool) -> None:
    """Refuse a wrong name, an existing bundle (unless ``overwrite``) and anything that is not a bundle.

    Raises:
        BundleError: as above.
    """
    if target.suffix != SUFFIX:
        raise BundleError(
            "a bundle's directory is called NAME" + SUFFIX, value=target.name, remedy="rename it"
        )
    atomic.restore_folder(target)
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise BundleError(
            "the bundle exists already", value=target, remedy="another name, or --force to replace it"
        )
    if target.is_symlink() or not (target / CODEC_FILE).is_file():
        raise BundleError("refusing to replace what is not a bundle", value=target, remedy="another name")
