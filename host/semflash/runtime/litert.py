"""The one place that loads a LiteRT interpreter (ai-edge-litert, or its predecessor tflite-runtime)."""

from __future__ import annotations

import importlib
from typing import Any

from semflash.errors import BundleError, ModelError, ToolMissingError
from semflash.runtime.native_messages import hidden_native_messages

_RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def _runtime() -> Any:
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ToolMissingError(
        "no LiteRT runtime is installed",
        remedy="pip install ai-edge-litert (or tflite-runtime on older systems)",
    )


def load_interpreter(model: bytes, what: str, *, reference: bool = False, threads: int = 1) -> Any:
    """An interpreter of ``model``; call ``allocate_tensors`` after resizing.

    Args:
        model: content of a .tflite file.
        what: its name in error messages.
        reference: BUILTIN_REF kernels, which agree with TFLite-Micro bit for bit; else the fast ones.
        threads: CPU threads.

    Raises:
        ModelError: the runtime refuses the file. ToolMissingError: no runtime installed.
    """
    runtime = _runtime()
    resolver = runtime.OpResolverType.BUILTIN_REF if reference else runtime.OpResolverType.AUTO
    try:
        with hidden_native_messages():
            interpreter = runtime.Interpreter(
                model_content=model, experimental_op_resolver_type=resolver, num_threads=threads
            )
            if not reference:
                interpreter.allocate_tensors()  # here, because it announces its delegate on stderr
            return interpreter
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{what} is not a model LiteRT can load", value=error, remedy="export it again"
        ) from error


def single(details: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """The only tensor of ``details``. BundleError: there are none or several."""
    if len(details) != 1:
        raise BundleError(
            f"{what}: exactly one tensor expected", value=len(details), remedy="export the bundle again"
        )
    return details[0]
