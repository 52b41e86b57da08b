"""Code generator of semflash: a device program and its int8 .tflite graphs become C for ``device/``.

Of ``semflash`` it imports the program and the errors alone, and never TensorFlow.

    generated = generate(CodegenRequest(program, {"encoder": tflite}, bundle_hash="..."))
    generated.files["sf_model.c"]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semflash_codegen.errors import CodegenError
    from semflash_codegen.generate import generate
    from semflash_codegen.request import CodegenRequest, Generated, LayerReport, Report

__all__ = [
    "CodegenError",
    "CodegenRequest",
    "Generated",
    "LayerReport",
    "Report",
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
