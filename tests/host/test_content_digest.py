"""The digest of an int8 graph that run folders keep: it must not change from one version to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
from semflash.conversion.content import content_sha256

MODELS = Path(__file__).resolve().parents[1] / "codegen" / "models"


@pytest.mark.parametrize(
    ("model", "digest"),
    [
        ("enc32", "0af3019d5e89d044392f329ed439626d141fd48b58dbc72c3459bffd20e57966"),
        ("mobile", "d6a8451395eb35d2768c11bf4b5ed4d8032ea7c7029a35a8e634de921f935df0"),
    ],
)
def test_a_graph_has_the_digest_that_the_first_version_gave_it(model: str, digest: str) -> None:
    assert content_sha256((MODELS / f"{model}.tflite").read_bytes()) == digest
