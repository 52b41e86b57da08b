"""Code generator of semflash: an int8 .tflite encoder becomes C for the runtime in ``device/``.

Imports neither ``semflash`` nor TensorFlow.

    generated = generate(CodegenRequest(encoder, tail, bits_per_symbol=3, bundle_hash="..."))
    generated.files["sf_model.c"]
"""

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
