"""Writing a bundle: whole or not at all.

A bundle is made in a hidden directory beside its place, read back and checked there, then renamed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from semflash.bundle.checks import check_contract, check_record
from semflash.bundle.digest import bundle_hash, canonical_json, sha256_hex
from semflash.bundle.reader import Bundle, read_directory
from semflash.bundle.schema import CODEC_FILE, FORMAT, SCHEMA_VERSION, SUFFIX, Codec, Contract, Digest, Record
from semflash.errors import BundleError


def encode_codec(contract: Contract, record: Record) -> bytes:
    """The bytes of ``codec.json``: indented JSON, keys in schema order, newline at the end."""
    check_contract(contract)
    check_record(record)
    digest = Digest(contract=bundle_hash(contract), record=sha256_hex(canonical_json(record)))
    codec = Codec(FORMAT, SCHEMA_VERSION, contract, record, digest)
    return msgspec.json.format(msgspec.json.encode(codec), indent=1) + b"\n"


def write_bundle(
    path: str | Path,
    contract: Contract,
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
        BundleError: inconsistent parts, or the place is taken.
    """
    target = Path(path)
    check_place(target, overwrite)
    references = [g.model for g in contract.device_graphs] + [contract.decoder, contract.task_tail]
    if record.history is not None:
        references.append(record.history)
    named = {reference.file for reference in references}
    if named != set(files):
        raise BundleError("files given and files named differ", value=sorted(named ^ set(files)))
    codec = encode_codec(contract, record)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.stem}-", suffix=".tmp", dir=target.parent))
    try:
        temporary.chmod(0o755)
        for name, data in files.items():
            _write_synced(temporary / name, data)
        _write_synced(temporary / CODEC_FILE, codec)
        bundle = read_directory(temporary)
        _move_into_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(bundle, path=target)


def update_record(bundle: Bundle, record: Record) -> Bundle:
    """Replace the record of a bundle on disk; the contract, and with it the bundle hash, stays.

    Raises:
        BundleError: the bundle on disk is no longer the one that was read.
    """
    current = read_directory(bundle.path)
    if current.hash_hex != bundle.hash_hex:
        raise BundleError(
            "the bundle was replaced meanwhile", value=bundle.path, remedy="run the command again"
        )
    data = encode_codec(bundle.contract, record)
    descriptor, name = tempfile.mkstemp(prefix=".codec-", suffix=".tmp", dir=bundle.path)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(bundle.path / CODEC_FILE)
    finally:
        temporary.unlink(missing_ok=True)
    return read_directory(bundle.path)


def check_place(target: Path, overwrite: bool) -> None:
    """Refuse a wrong name, an existing bundle (unless ``overwrite``) and anything that is not a bundle.

    Raises:
        BundleError: as above.
    """
    if target.suffix != SUFFIX:
        raise BundleError(
            "a bundle's directory is called NAME" + SUFFIX, value=target.name, remedy="rename it"
        )
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise BundleError("the bundle exists already", value=target, remedy="another name, or --force")
    if target.is_symlink() or not (target / CODEC_FILE).is_file():
        raise BundleError("refusing to replace what is not a bundle", value=target, remedy="another name")


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(temporary: Path, target: Path) -> None:
    """Rename; an old bundle steps aside first and comes back if the rename fails."""
    if not target.exists():
        temporary.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.stem}-", suffix=".old", dir=target.parent))
    old = aside / target.name
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        aside.rmdir()
        raise
    shutil.rmtree(aside)
