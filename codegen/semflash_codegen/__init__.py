"""Code generator of semflash: an int8 .tflite encoder becomes C for the runtime in ``device/``.

Imports neither ``semflash`` nor TensorFlow.

    generated = generate(CodegenRequest(encoder, tail, bits_per_symbol=3, bundle_hash="..."))
    generated.files["sf_model.c"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash_codegen.errors import CodegenError
    from semflash_codegen.generate import generate
    from semflash_codegen.request import CodegenRequest, GdnTail, Generated, LayerReport, Report, TableTail

__all__ = [
    "CodegenError",
    "CodegenRequest",
    "GdnTail",
    "Generated",
    "LayerReport",
    "Report",
    "TableTail",
    "generate",
]

_HOMES = ("errors", "generate", "request")


def __getattr__(name: str) -> object:
    """Names of ``__all__`` when they are first asked for: who only reads .tflite files needs no generator."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for home in _HOMES:
        module = importlib.import_module(f"{__name__}.{home}")
        globals().update({found: getattr(module, found) for found in __all__ if hasattr(module, found)})
    return globals()[name]
