"""What the export proves before it writes anything.

1. TFLite-Micro and LiteRT's BUILTIN_REF give the same codes for the int8 device graph.
2. The float32 .tflite files of the edge side compute what the Keras models compute.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from semflash.bundle.models import check_decoder, output_shape
from semflash.bundle.schema import Contract
from semflash.errors import ExportError, ModelError
from semflash.program.reference.tails import codes
from semflash.program.stages import TailTable
from semflash.runtime.litert import load_interpreter, single
from semflash.runtime.reference import ReferenceGraph
from semflash.runtime.reference_run import TFLM, Ends, run_reference
from semflash.training.task import evaluation_batch

BATCH = 256
ARENA_SLACK = 4
#: float32 sums of a few hundred terms in another order; relative to the largest value.
EDGE_TOLERANCE = 1e-3


def run_model(model: keras.Model, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs of a Keras model, a few hundred images at a time."""
    parts, size = [], min(BATCH, evaluation_batch(model.output_shape[1:]))
    for start in range(0, len(inputs[0]), size):
        batch = [values[start : start + size] for values in inputs]
        parts.append(keras.ops.convert_to_numpy(model(batch if len(batch) > 1 else batch[0], training=False)))
    return np.concatenate(parts)


def run_edge(
    decoder: keras.Model, tail: keras.Model, latents: NDArray[np.float32], quality: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Logits (N, classes) of the Keras edge side for centre values (N, h, w, c) and BER (N, 1)."""
    return run_model(tail, run_model(decoder, latents, quality))


def run_tflm(model: bytes, values: NDArray[np.int8], arena_bytes: int) -> NDArray[np.int8]:
    """Outputs int8 (N, values per image) of the TFLite-Micro interpreter, image by image, in a child.

    Args:
        model: the int8 graph, batch of one. values: int8 (N, H, W, C). arena_bytes: tensor arena.

    Raises:
        ExportError: TFLite-Micro refuses the graph, or dies of it.
    """
    ends = Ends(1.0, 0), Ends(1.0, 0)  # both ends of a device graph are int8
    try:
        return run_reference(TFLM, model, values, ends, arena_bytes)
    except ModelError as error:
        raise ExportError("TFLite-Micro does not run the device graph", value=error.value) from error


def prove_encoder(
    model: bytes, tail: TailTable, values: NDArray[np.int8], arena_bytes: int
) -> NDArray[np.uint8]:
    """Run both references and compare every code.

    Args:
        values: int8 (N, H, W, C).
        arena_bytes: what TFLite-Micro was measured to need.

    Returns:
        the codes uint8 (N, h, w, C).

    Raises:
        ExportError: they differ; says in how many codes and in which image first.
    """
    latents = ReferenceGraph(model, "encoder.tflite").run(values)
    reference = codes(latents, tail)
    micro = codes(run_tflm(model, values, ARENA_SLACK * arena_bytes).reshape(latents.shape), tail)
    wrong = micro != reference
    if wrong.any():
        raise ExportError(
            "TFLite-Micro and BUILTIN_REF give different codes",
            value=f"{int(wrong.sum())} of {wrong.size}, first in image {int(np.argwhere(wrong)[0][0])}",
            remedy="replace the operator both implement differently (FULLY_CONNECTED is known to differ)",
        )
    return reference


def prove_edge(
    decoder: keras.Model,
    tail: keras.Model,
    decoder_tflite: bytes,
    tail_tflite: bytes,
    contract: Contract,
    latents: NDArray[np.float32],
) -> None:
    """Compare the edge side's .tflite files with their Keras models on real latents.

    Args:
        latents: centre values float32 (N, h, w, C); the quality input sweeps the trained BER range.

    Raises:
        ExportError: logits differ by more than 1e-3 of the largest, or there is not one per class.
    """
    quality = np.linspace(0.0, contract.channel.ber_max, len(latents), dtype=np.float32)[:, None]
    expected = run_edge(decoder, tail, latents, quality)
    if expected.shape[1:] != output_shape(contract):
        raise ExportError(
            f"the data set has {len(contract.class_names)} classes, the task tail gives another number",
            value=expected.shape[1:],
            remedy="use the data set of the training",
        )
    first = load_interpreter(decoder_tflite, contract.decoder.file)
    second = load_interpreter(tail_tflite, contract.task_tail.file)
    latent_index, quality_index = check_decoder(first, contract)
    features_index = int(single(first.get_output_details(), contract.decoder.file)["index"])
    first.allocate_tensors()
    second.allocate_tensors()
    source = int(single(second.get_input_details(), contract.task_tail.file)["index"])
    found = []
    for latent, value in zip(latents, quality, strict=True):
        first.set_tensor(latent_index, latent[None])
        first.set_tensor(quality_index, value[None])
        first.invoke()
        second.set_tensor(source, first.get_tensor(features_index))
        second.invoke()
        found.append(second.get_tensor(second.get_output_details()[0]["index"]))
    difference = float(np.abs(np.concatenate(found) - expected).max())
    if not difference <= EDGE_TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ExportError("decoder.tflite and tail.tflite differ from the Keras models", value=difference)
