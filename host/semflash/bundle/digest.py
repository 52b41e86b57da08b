"""Canonical JSON and the digests of a bundle.

Canonical JSON: keys sorted by code point, no spaces, ASCII with ``\\u`` escapes, floats in the shortest form
that reads back the same (Python's ``repr``), no NaN or infinity.
"""

from __future__ import annotations

import hashlib
import json

import msgspec

from semflash.bundle.older_record import OlderRecord
from semflash.bundle.schema import Contract, FileRef, Record
from semflash.bundle.version1 import Contract1
from semflash.outputs.kinds import ClassificationTask


def canonical_json(value: Contract | Contract1 | Record | OlderRecord) -> bytes:
    """Canonical JSON of a part of codec.json. ValueError: a NaN or an infinity.

    Classification, the task of every bundle before there was another, is not spelt out in version 1.
    """
    plain = msgspec.to_builtins(value)
    if isinstance(value, Contract1) and isinstance(value.task, ClassificationTask):
        plain.pop("task", None)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def bundle_hash(contract: Contract | Contract1) -> str:
    """The bundle hash: SHA-256 of the canonical contract. Its first 8 digits travel in every frame."""
    return sha256_hex(canonical_json(contract))


def file_ref(name: str, data: bytes) -> FileRef:
    """Describe a file of the bundle."""
    return FileRef(file=name, sha256=sha256_hex(data), size_bytes=len(data))
