"""Writes tests/codegen/corpus/: one small model per operator, seeds of the hostile models. Run once, commit.

PYTHONPATH=tests:codegen:host python tests/codegen/make_corpus.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codegen.brought_models import MODELS as BROUGHT
from codegen.more_models import MODELS

FOLDER = Path(__file__).parent / "corpus"


def main() -> None:
    """One model each, by a fixed seed."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in (MODELS | BROUGHT).items():
        path = FOLDER / f"{name.lower().replace(' ', '_')}.tflite"
        path.with_suffix(".tmp").write_bytes(make(np.random.default_rng(11)))
        path.with_suffix(".tmp").replace(path)
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
