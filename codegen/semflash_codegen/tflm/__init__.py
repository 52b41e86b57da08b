"""The `tflm` engine: the model as it is, a resolver with exactly its operators, and C++ glue to the runtime.

Nothing of TensorFlow Lite Micro is here; the build takes it from a tree the user names.
"""

from semflash_codegen.tflm.generate import ENGINE, MARGIN_BYTES, generate, operators_of
from semflash_codegen.tflm.operators import convolution_symbols, kernel_stems

__all__ = ["ENGINE", "MARGIN_BYTES", "convolution_symbols", "generate", "kernel_stems", "operators_of"]
