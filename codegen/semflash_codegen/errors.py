"""Errors of the code generator: what is wrong, the offending value, the remedy.

The package stands alone (it imports nothing of ``semflash``); the host maps :class:`CodegenError` to its own
``ModelError`` and keeps the three texts.
"""

from __future__ import annotations


class CodegenError(Exception):
    """Base of all errors of the generator.

    Args:
        what: one sentence, what is wrong.
        value: the value that is wrong; ``None`` where there is none.
        remedy: what the user can do about it.
    """

    def __init__(self, what: str, *, value: object | None = None, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.what
        if self.value is not None:
            text += f" (got: {self.value})"
        if self.remedy:
            text += f"\n  try: {self.remedy}"
        return text


class MalformedModelError(CodegenError):
    """The bytes are not a TensorFlow Lite model, are truncated, or contradict themselves."""


class UnsupportedModelError(CodegenError):
    """A valid model that asks for an operator, a type or a shape this generator has no code for."""


class CapacityError(CodegenError):
    """The model needs more flash or RAM than the board has."""


class KernelSourceError(CodegenError):
    """CMSIS-NN's sources were asked for and are not to be found."""


class RequestError(CodegenError):
    """The request itself (tail, bits per symbol, hash, engine) is inconsistent."""
