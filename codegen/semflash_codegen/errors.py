"""Errors of the code generator, in the one tree of :mod:`semflash.errors`.

Each of them carries what is wrong, the offending value and the remedy. They are errors about a model, so that
callers who catch :class:`~semflash.errors.ModelError` catch them as they are: nothing has to translate them.
"""

from __future__ import annotations

from semflash.errors import ModelError, ToolMissingError


class CodegenError(ModelError):
    """Base of all errors that the generator raises about a model or a request."""


class MalformedModelError(CodegenError):
    """The bytes are not a TensorFlow Lite model, are truncated, or contradict themselves."""


class UnsupportedModelError(CodegenError):
    """A valid model that asks for an operator, a type or a shape this generator has no code for."""


class CapacityError(CodegenError):
    """The model needs more flash or RAM than the board has."""


class RequestError(CodegenError):
    """The request itself (tail, bits per symbol, hash, engine) is inconsistent."""


class KernelSourceError(ToolMissingError):
    """CMSIS-NN's sources were asked for and are not to be found. The model itself is not at fault."""
