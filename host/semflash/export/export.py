"""From a trained codec to a bundle, with proof: ``semflash export``.

Nothing is written before the int8 device graph is pure int8, two references agree on every code of 1,000
images, the device's integers are proven not to overflow, and the edge's .tflite files compute what
Keras does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from semflash import __version__
from semflash.bundle import known
from semflash.bundle.digest import file_ref
from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.models import check_encoder
from semflash.bundle.packing import payload_size
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import (
    BerInput,
    BitChannel,
    Contract,
    DeviceGraph,
    ExportProof,
    FixedPayload,
    ImageInput,
    Record,
)
from semflash.bundle.writer import check_name, check_place, write_bundle
from semflash.codecs.base import DeviceTailSpec
from semflash.conversion.graphs import Int8Graph, content_sha256, convert_float
from semflash.conversion.tail import centres_by_code, codes_by_formula, quantise_device
from semflash.data.dataset import Dataset
from semflash.errors import ExportError
from semflash.export.proof import prove_edge, prove_encoder, run_edge, run_model
from semflash.outputs.kinds import Task
from semflash.program.reference.tails import codes
from semflash.program.stages import TailTable
from semflash.runtime.reference import ReferenceGraph
from semflash.runtime.tflm_arena import measure_arena
from semflash.tasks.registry import kind_of
from semflash.training.chance import REMEDY, Chance

PROOF_IMAGES = 1000
VALIDATION_IMAGES = 5000
EDGE_PROOF_IMAGES = 64
#: Share of codes in which the trained encoder and the formulas may differ: values within float32 rounding of
#: a midpoint. A transposed gamma or a forgotten PReLU changes tens of per cent.
FORMULA_TOLERANCE = 2e-3


class TrainedCodec(Protocol):
    """What the export needs of a trained codec (:func:`semflash.training.models.load_run` returns one).

    Attributes:
        device_graph: image float32 (B, H, W, C) in [0, 1] -> latent (B, h, w, c) before GDN.
        tail_spec: what turns a latent into codes.
        decoder: [values (B, h, w, c), ber (B, 1)] -> features. tail: features -> logits.
    """

    @property
    def device_graph(self) -> keras.Model: ...
    @property
    def tail_spec(self) -> DeviceTailSpec: ...
    @property
    def decoder(self) -> keras.Model: ...
    @property
    def tail(self) -> keras.Model: ...

    def encode_codes(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Codes uint8 (N, h, w, c) of the float encoder for images uint8 (N, H, W, C)."""
        ...


def export_codec(
    trained: TrainedCodec,
    out: str | Path,
    dataset: Dataset,
    *,
    name: str,
    whole_graph: bool = False,
    overwrite: bool = False,
    recipe: Mapping[str, Any] | None = None,
    seed: int = 0,
    history: bytes | None = None,
    task_accuracy: float | None = None,
    ber_range: tuple[float, float] = (0.0, 0.06),
    family: str = "semanticnn",
    encoder_sha256: str | None = None,
    force: bool = False,
) -> Bundle:
    """Quantise, prove and write a bundle.

    Args:
        trained: the codec.
        out: directory to make, ``NAME.semcodec``.
        dataset: calibration images come from its train split, the proof and the accuracies from val.
        name: of the bundle, lower case.
        whole_graph: keep GDN and PReLU inside the int8 graph; the device tail is then a table.
        overwrite: replace an existing bundle.
        recipe, seed, history, task_accuracy: for the record (history: JSON bytes).
        ber_range: the codec was trained for.
        encoder_sha256: of the content of the int8 graph on whose codes the decoder was tuned; None: of none.
        force: export a codec that is no better than guessing, too; the record's ``recipe.forced`` says so.

    Raises:
        ExportError: the proof fails, the graph is not int8, parameters out of range, or the codec is no
            better than guessing.
        BundleError: the place is taken, or a graph holds an operator that bundles may not hold.
        DatasetError: images of the wrong size.
    """
    check_place(Path(out), overwrite)
    check_name(name)
    kind = kind_of(trained.tail, dataset.image_shape)
    kind.check(dataset)
    graph, tail = quantise_device(trained, dataset, whole_graph)
    _check_encoder_is(encoder_sha256, graph)
    files = {
        "encoder.tflite": graph.data,
        "decoder.tflite": convert_float(trained.decoder, "decoder"),
        "tail.tflite": convert_float(trained.tail, "task tail"),
    }
    centres = [float(v) for v in centres_by_code(trained.tail_spec)]
    contract = _contract(name, family, dataset, graph, tail, centres, files, ber_range, kind.contract_task())
    check_device_graph(graph.data, "encoder.tflite")
    check_encoder(graph.data, contract)
    arena_bytes, proof = _prove(trained, dataset, contract, files)
    check_edge(contract, files["decoder.tflite"], files["tail.tflite"])
    forced = _check_chance(proof, dataset, force)
    record = Record(
        semflash_version=__version__,
        recipe=dict(recipe or {}) | forced,
        seed=seed,
        history=None if history is None else file_ref("history.json", history),
        proof=proof,
        operators=graph.operators,
        macs=graph.macs,
        arena_bytes=arena_bytes,
        task_accuracy=task_accuracy,
    )
    if history is not None:
        files["history.json"] = history
    bundle = write_bundle(out, contract, record, files, overwrite=overwrite)
    known.remember(bundle.hash_hex, exported=True)
    return bundle


def _check_chance(proof: ExportProof, dataset: Dataset, force: bool) -> dict[str, str]:
    """What the record says of a codec that learnt nothing. ExportError: it did not, and is not forced."""
    words = none_better_than_guessing(proof.int8_accuracy, dataset, force)
    return {} if words is None else {"forced": words}


def none_better_than_guessing(reached: float | None, dataset: Dataset, force: bool) -> str | None:
    """What is wrong with an accuracy (mAP) on the validation split; None: nothing, or it is not known.

    Raises:
        ExportError: it is no better than guessing, and not forced.
    """
    chance = Chance.of(dataset.val.labels[:VALIDATION_IMAGES])
    if reached is None or chance.is_above(reached):
        return None
    if not force:
        raise ExportError(
            "the codec has learnt nothing",
            value=chance.words(reached),
            remedy=f"train again: {REMEDY}; --force exports it all the same",
        )
    return chance.words(reached)


def _check_encoder_is(sha256: str | None, graph: Int8Graph) -> None:
    found = content_sha256(graph.data)
    if sha256 is not None and found != sha256:
        raise ExportError(
            "the decoder was tuned on the codes of another int8 encoder",
            value=f"{found[:16]}, not {sha256[:16]}",
            remedy="export with the TensorFlow and the data set of the training, without --whole-graph",
        )


def _contract(
    name: str,
    family: str,
    dataset: Dataset,
    graph: Int8Graph,
    tail: TailTable,
    centres: list[float],
    files: Mapping[str, bytes],
    ber_range: tuple[float, float],
    task: Task,
) -> Contract:
    height, width, channels = graph.output_shape
    symbols, bits = height * width * channels, max(1, (len(centres) - 1).bit_length())
    encoder = file_ref("encoder.tflite", files["encoder.tflite"])
    return Contract(
        name=name,
        family=family,
        family_version=1,
        input=ImageInput(*dataset.image_shape, 1 / 255, -128),
        device_graphs=[
            DeviceGraph(
                "encoder", encoder, height, width, channels, graph.output_scale, graph.output_zero_point
            )
        ],
        device_tail=tail,
        payload=FixedPayload(symbols, bits, payload_size(symbols, bits)),
        channel=BitChannel(*ber_range),
        quality=BerInput("ber"),
        centres=centres,
        decoder=file_ref("decoder.tflite", files["decoder.tflite"]),
        task_tail=file_ref("tail.tflite", files["tail.tflite"]),
        class_names=list(dataset.class_names),
        task=task,
    )


def _prove(
    trained: TrainedCodec, dataset: Dataset, contract: Contract, files: Mapping[str, bytes]
) -> tuple[int, ExportProof]:
    """Arena bytes and the proof. Validation images; a small data set is filled up from its train split."""
    images, labels = dataset.val.images[:VALIDATION_IMAGES], dataset.val.labels[:VALIDATION_IMAGES]
    proof_images = np.concatenate([images, dataset.train.images[:PROOF_IMAGES]])[:PROOF_IMAGES]
    encoder, tail = files["encoder.tflite"], contract.device_tail
    arena_bytes = measure_arena(encoder)
    prove_encoder(encoder, tail, _int8(proof_images), arena_bytes)
    float_route = trained.encode_codes(images)
    _check_formulas(trained, images[:PROOF_IMAGES], float_route[:PROOF_IMAGES])
    int8_route = codes(ReferenceGraph(encoder, "encoder.tflite").run(_int8(images)), tail)
    centres = np.asarray(contract.centres, np.float32)
    shown = centres[int8_route[:EDGE_PROOF_IMAGES]]
    prove_edge(trained.decoder, trained.tail, files["decoder.tflite"], files["tail.tflite"], contract, shown)
    return arena_bytes, ExportProof(
        images=len(proof_images),
        references=["tflite-micro", "LiteRT BUILTIN_REF"],
        codes_differing=0,
        codes_differing_from_float=float((int8_route != float_route).mean()),
        validation_images=len(images),
        float_accuracy=_accuracy(trained, centres[float_route], labels),
        int8_accuracy=_accuracy(trained, centres[int8_route], labels),
    )


def _int8(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)


def _check_formulas(trained: TrainedCodec, images: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """GDN, PReLU and centres read out of the codec must reproduce the trained encoder's own codes."""
    latent = run_model(trained.device_graph, images.astype(np.float32) / np.float32(255))
    found = codes_by_formula(trained.tail_spec, latent)
    share = float((found != expected).mean()) if found.shape == expected.shape else 1.0
    if share > FORMULA_TOLERANCE:
        raise ExportError(
            "the codec's GDN, PReLU and centres do not reproduce its own codes",
            value=f"{share:.2%} of the codes differ",
            remedy="gdn_gamma must be (input, output) with den_j = beta_j + sum_i x_i^2 gamma[i, j]",
        )


def _accuracy(trained: TrainedCodec, latents: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Top-1 accuracy (mAP of a detector) of the Keras edge side at BER 0."""
    quality = np.zeros((len(latents), 1), np.float32)
    outputs = run_edge(trained.decoder, trained.tail, latents, quality)
    return kind_of(trained.tail, trained.device_graph.input_shape[1:]).score(labels, outputs)
