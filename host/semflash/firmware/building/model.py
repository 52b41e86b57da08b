"""The bundle's device graph as C: asks the code generator and keeps what the build needs of its answer."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflash.bundle.reader import Bundle
from semflash.errors import BuildError, ToolMissingError
from semflash.firmware.boards.descriptions import Board
from semflash.firmware.building import tflm_tree
from semflash.firmware.building.options import BuildOptions
from semflash.firmware.building.result import LayerInfo
from semflash.firmware.building.sources import CmsisFiles, Library


@dataclass(frozen=True)
class Model:
    """Generated C and what is known of it before it is compiled.

    Attributes:
        files: Generated files by name (sf_model.h, sf_model.c, and those of the engine).
        symbols: CMSIS-NN functions that must be in the linked image.
        cmsis: CMSIS-NN's files; None where no layer uses it.
        cmsis_origin: Where they came from, or "none".
        macs: Multiply-accumulates of one image.
        state_bytes: RAM the encoder asks for.
        arena_bytes: Its tensors' part.
        constant_bytes: Weights and tables.
        library: The engine's own code, where it is not semflash's.
    """

    files: Mapping[str, str]
    engine: str
    kernels: str
    symbols: tuple[str, ...]
    cmsis: CmsisFiles | None
    cmsis_origin: str
    macs: int
    state_bytes: int
    arena_bytes: int
    constant_bytes: int
    layers: tuple[LayerInfo, ...]
    library: Library | None = None


def generate_model(bundle: Bundle, board: Board, options: BuildOptions) -> Model:
    """Generate the C of `bundle` for `board`.

    Raises:
        ModelError: the graph does not fit the contract or the link, or the code generator refuses it.
        ToolMissingError: CMSIS-NN or TFLM is needed and not there.
    """
    import semflash_codegen
    from semflash.firmware.building.device_graph import check_ends, check_frames
    from semflash_codegen.errors import CapacityError
    from semflash_codegen.request import TFLM

    check_frames(bundle)
    check_ends(bundle)
    tree = _tflm_tree(board, options) if options.engine == TFLM else None
    request = semflash_codegen.CodegenRequest(
        program=bundle.program,
        models=bundle.models,
        bundle_hash=bundle.hash_hex,
        model_name=bundle.name,
        engine=options.engine,
        kernels=options.kernels,
        weights=options.weights,
        flash_bytes=board.flash_bytes,
        ram_bytes=board.ram_bytes,
        arena_bytes=tflm_arena_bytes(bundle) if tree is not None else None,
    )
    try:
        generated = semflash_codegen.generate(request)
    except CapacityError as error:
        raise BuildError(
            f"the model does not fit {board.name}: {error.what}", value=error.value, remedy=error.remedy
        ) from error
    report = generated.report
    cmsis, origin = _locate_cmsis(report.cmsis_sources, options.cmsis_nn_dir)
    library = None
    if tree is not None:
        origin = f"of the TFLM tree {tree.root}"
        library = Library(
            tflm_tree.LIBRARY,
            "tflm",
            tree.library(report.tflm_operators),
            tflm_tree.INCLUDES,
            tflm_tree.DEFINES,
        )
    return Model(
        files=generated.files,
        engine=options.engine,
        kernels=report.engine.partition("/")[2],
        symbols=tuple(report.cmsis_symbols),
        cmsis=cmsis,
        cmsis_origin=origin,
        macs=report.macs,
        state_bytes=report.state_bytes,
        arena_bytes=report.arena_bytes,
        constant_bytes=report.constant_bytes,
        layers=tuple(_layer(layer) for layer in report.layers),
        library=library,
    )


def tflm_arena_bytes(bundle: Bundle) -> int:
    """The arena TFLite-Micro needs on a 64-bit host: as the bundle records it, else measured now.

    Raises:
        ToolMissingError: it is not recorded, and TFLite-Micro is not installed.
        ExportError: TFLite-Micro does not run the graph.
    """
    if bundle.record.arena_bytes is not None:
        return bundle.record.arena_bytes
    if importlib.util.find_spec("tflite_micro") is None:
        raise ToolMissingError(
            "the bundle does not record TFLite-Micro's arena, and tflite-micro is not there to measure it",
            value=bundle.path,
            remedy="pip install 'semflash[train]', or export the bundle where it is installed",
        )
    from semflash.runtime.tflm_arena import measure_arena

    if len(bundle.models) != 1:
        raise BuildError(
            "the engine tflm runs one graph", value=len(bundle.models), remedy="use the engine aot"
        )
    (model,) = bundle.models.values()
    return measure_arena(model)


def _tflm_tree(board: Board, options: BuildOptions) -> tflm_tree.TflmTree:
    if board.kind == "native":
        raise BuildError(
            "the engine tflm is for microcontrollers",
            value=board.name,
            remedy="on this computer the tflite-micro wheel runs the same file; or --engine aot",
        )
    return tflm_tree.locate(options.tflm_dir)


def _layer(layer: Any) -> LayerInfo:
    numbers = (layer.macs, layer.weights_bytes, layer.step)
    return LayerInfo(layer.name, layer.operator, layer.kernel, layer.why, *numbers)


def _locate_cmsis(needed: tuple[str, ...], override: Path | None) -> tuple[CmsisFiles | None, str]:
    """CMSIS-NN's files where a layer needs them, and where they came from."""
    if not needed:
        return None, "none"
    from semflash_codegen import cmsis_nn

    found = cmsis_nn.locate(override)
    return CmsisFiles(found.nn, found.core, tuple(needed)), found.origin
