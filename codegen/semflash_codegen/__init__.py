"""Code generator of semflash: a device program and its int8 .tflite graphs become C for ``device/``.

Of ``semflash`` it imports the program alone, and never TensorFlow.

    generated = generate(CodegenRequest(program, {"encoder": tflite}, bundle_hash="..."))
    generated.files["sf_model.c"]
"""

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
