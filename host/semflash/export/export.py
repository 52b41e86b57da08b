"""From a trained codec to a bundle, with proof: ``semflash export``.

Nothing is written before the int8 graphs are pure int8, two references agree on every code of 1,000 images,
the device's integers are proven not to overflow, and the edge's .tflite files compute what Keras does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from semflash import __version__
from semflash.bundle import known
from semflash.bundle.digest import file_ref
from semflash.bundle.graphs.device import check_device_graph
from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.models import check_model
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Contract, EdgeGraph, ExportProof, Model, Record
from semflash.bundle.writer import check_name, check_place, write_bundle
from semflash.codecs.base import Codec
from semflash.codecs.device_side import IMAGE, DeviceSpec
from semflash.codecs.edge_side import EdgeGraphSpec
from semflash.conversion.content import content_sha256
from semflash.conversion.device import (
    QuantisedDevice,
    Sent,
    codes_by_formula,
    gdn_inside,
    quantise_device,
    sent_codes,
)
from semflash.conversion.folding import Form
from semflash.conversion.graphs import Int8Graph, convert_float
from semflash.data.dataset import Dataset
from semflash.errors import ExportError
from semflash.export.proof import prove_device, prove_edge, received, run_device, run_edge, run_model
from semflash.outputs.chance import REMEDY
from semflash.outputs.output import Output
from semflash.program.controls import settle
from semflash.program.payload import encode
from semflash.program.used_controls import used_controls
from semflash.runtime.tflm_arena import measure_arena
from semflash.training.models import encode as float_encode

PROOF_IMAGES = 1000
VALIDATION_IMAGES = 5000
EDGE_PROOF_IMAGES = 64
#: Share of codes in which the trained encoder and the formulas may differ: values within float32 rounding of
#: a midpoint. A transposed gamma or a forgotten PReLU changes tens of per cent.
FORMULA_TOLERANCE = 2e-3


class Trained(Protocol):
    """What the export needs of a trained codec (:func:`semflash.training.models.load_run` returns one).

    Attributes:
        codec: With its weights.
        tail: The task tail that was trained for it; None: the codec's own graphs give its output.
    """

    @property
    def codec(self) -> Codec: ...
    @property
    def tail(self) -> keras.Model | None: ...


@dataclass(frozen=True)
class Target:
    """What is written.

    Attributes:
        name: of the bundle, lower case.
        whole_graph: keep GDN and PReLU inside the int8 graph; the device tail is then a table.
        overwrite: replace an existing bundle.
        force: export a codec that is no better than guessing, too; the record's ``recipe.forced`` says so.
        modulation: whether a module that adapts to the channel stays a stage of its own on the device
            (:mod:`semflash.conversion.folding`).
    """

    name: str
    whole_graph: bool = False
    overwrite: bool = False
    force: bool = False
    modulation: Form = "auto"


@dataclass(frozen=True)
class Origin:
    """How the codec came about, for the record.

    Attributes:
        recipe: Plain JSON.
        seed: Of the training.
        history: JSON bytes; None: there is none.
        task_value: First metric of the uncompressed task network on the test split; None: not measured.
        encoder_sha256: Of the int8 network on whose codes the decoder was tuned; None: of none.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    history: bytes | None = None
    task_value: float | None = None
    encoder_sha256: str | None = None


def export_codec(
    trained: Trained, out: str | Path, dataset: Dataset, target: Target, origin: Origin | None = None
) -> Bundle:
    """Quantise, prove and write a bundle.

    Args:
        trained: The codec.
        out: Directory to make, ``NAME.semcodec``.
        dataset: Calibration images come from its train split, the proof and the metrics from val.
        target: What is written.
        origin: What the record says of it.

    Raises:
        ExportError: the proof fails, a graph is not int8, parameters out of range, or the codec is no better
            than guessing.
        BundleError: the place is taken, or a graph holds an operator that bundles may not hold.
        DatasetError: images of the wrong size.
    """
    origin = origin or Origin()
    check_place(Path(out), target.overwrite)
    check_name(target.name)
    trained.codec.check_data(trained.tail, dataset)
    device = quantise_device(trained.codec.device(), dataset, target.whole_graph, target.modulation)
    _check_network_is(origin.encoder_sha256, device.whole)
    graphs = trained.codec.edge_graphs(trained.tail)
    edge = {graph.name: convert_float(graph.model, graph.name) for graph in graphs}
    files = {f"{name}.tflite": data for name, data in (device.models | edge).items()}
    contract = Contract(
        name=target.name,
        family=trained.codec.family,
        family_version=trained.codec.family_version,
        program=device.program,
        models=tuple(Model(n, file_ref(f"{n}.tflite", data)) for n, data in device.models.items()),
        edge=tuple(EdgeGraph(g.name, file_ref(f"{g.name}.tflite", edge[g.name]), g.inputs) for g in graphs),
        class_names=tuple(dataset.class_names),
        task=trained.codec.task(trained.tail),
        picture=trained.codec.picture or UNSET,
        level_map=trained.codec.level_map or UNSET,
    )
    for stage in device.program.graphs:
        check_device_graph(device.models[stage.name], f"{stage.name}.tflite")
        check_model(device.models[stage.name], stage, device.program)
    arenas = {name: measure_arena(model) for name, model in device.models.items()}
    proof = _prove(trained, dataset, _Made(contract, device, graphs, edge, target.whole_graph), arenas)
    check_edge(contract, edge)
    forced = _check_chance(proof, contract.output, dataset, target.force)
    history = {} if origin.history is None else {"history.json": origin.history}
    record = Record(
        semflash_version=__version__,
        recipe=dict(origin.recipe) | forced,
        seed=origin.seed,
        history=None if origin.history is None else file_ref("history.json", origin.history),
        proof=proof,
        operators=device.whole.operators,
        macs=device.whole.macs,
        arena_bytes=sum(arenas.values()),
        task_value=origin.task_value,
    )
    bundle = write_bundle(out, contract, record, files | history, overwrite=target.overwrite)
    known.remember(bundle.hash_hex, exported=True)
    return bundle


def _check_chance(proof: ExportProof, output: Output, dataset: Dataset, force: bool) -> dict[str, str]:
    """What the record says of a codec that learnt nothing. ExportError: it did not, and is not forced."""
    words = none_better_than_guessing(proof.int8_value, output, dataset, force)
    return {} if words is None else {"forced": words}


def none_better_than_guessing(
    reached: float | None, output: Output, dataset: Dataset, force: bool
) -> str | None:
    """What is wrong with a first metric on the validation split; None: nothing, or it is not known.

    Raises:
        ExportError: it is no better than guessing, and not forced.
    """
    images, labels = dataset.val.images[:VALIDATION_IMAGES], dataset.val.labels[:VALIDATION_IMAGES]
    chance = output.chance(images, labels)
    if reached is None or chance.is_above(reached):
        return None
    if not force:
        raise ExportError(
            "the codec has learnt nothing",
            value=chance.words(reached),
            remedy=f"train again: {REMEDY}; --force exports it all the same",
        )
    return chance.words(reached)


def _check_network_is(sha256: str | None, graph: Int8Graph) -> None:
    found = content_sha256(graph.data)
    if sha256 is not None and found != sha256:
        raise ExportError(
            "the decoder was tuned on the codes of another int8 encoder",
            value=f"{found[:16]}, not {sha256[:16]}",
            remedy="export with the TensorFlow and the data set of the training, without --whole-graph",
        )


@dataclass(frozen=True)
class _Made:
    """What is to be proven; edge: contents of the edge's .tflite files by graph."""

    contract: Contract
    device: QuantisedDevice
    graphs: tuple[EdgeGraphSpec, ...]
    edge: Mapping[str, bytes]
    whole_graph: bool


def _prove(trained: Trained, dataset: Dataset, made: _Made, arenas: Mapping[str, int]) -> ExportProof:
    """The proof. Validation images; a small data set is filled up from its train split."""
    images, labels = dataset.val.images[:VALIDATION_IMAGES], dataset.val.labels[:VALIDATION_IMAGES]
    proof_images = np.concatenate([images, dataset.train.images[:PROOF_IMAGES]])[:PROOF_IMAGES]
    program = made.contract.program
    prove_device(made.device, proof_images, arenas)
    float_route = float_encode(trained.codec, images).reshape(len(images), -1).astype(np.uint8)
    spec = trained.codec.device()
    by_formula = _float_codes(gdn_inside(spec) if made.whole_graph else spec, images)
    _check_formulas(sent_codes(program, by_formula)[:PROOF_IMAGES], float_route[:PROOF_IMAGES])
    int8_run = run_device(made.device, images)
    int8_values = received(program, made.graphs, int8_run.sent)
    first = {name: each[:EDGE_PROOF_IMAGES] for name, each in int8_values.items()}
    prove_edge(made.graphs, made.edge, made.contract, first)
    float_sent = encode(program, by_formula, settle(program.controls, {}))
    differing = sent_codes(program, int8_run.tensors) != float_route
    return ExportProof(
        images=len(proof_images),
        references=["tflite-micro", "LiteRT BUILTIN_REF"],
        codes_differing=0,
        codes_differing_from_float=float(differing.mean()),
        validation_images=len(images),
        float_value=_value(made, received(program, made.graphs, float_sent), images, labels),
        int8_value=_value(made, int8_values, images, labels),
    )


def _float_codes(spec: DeviceSpec, images: NDArray[np.uint8]) -> dict[str, Sent]:
    """Codes (and values that are sent) by tensor of the float network, straight from the formulas."""
    parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in (IMAGE, *spec.values)}
    for start in range(0, len(images), PROOF_IMAGES):
        batch = images[start : start + PROOF_IMAGES].astype(np.float32) / np.float32(255)
        parts[IMAGE].append(batch)
        if len(spec.values) == 1:
            parts[spec.values[0]].append(run_model(spec.network, batch))
            continue
        for name, found in zip(spec.values, spec.network.predict(batch, verbose=0), strict=True):
            parts[name].append(found)
    return codes_by_formula(spec, {name: np.concatenate(each) for name, each in parts.items()})


def _check_formulas(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """The stages read out of the codec must reproduce the trained encoder's own codes."""
    share = float((found != expected).mean()) if found.shape == expected.shape else 1.0
    if share > FORMULA_TOLERANCE:
        raise ExportError(
            "the codec's device side does not reproduce its own codes",
            value=f"{share:.2%} of the codes differ",
            remedy="for GDN, gamma must be (input, output) with den_j = beta_j + sum_i x_i^2 gamma[i, j]",
        )


def _value(
    made: _Made, inputs: Mapping[str, NDArray[np.float32]], images: Any, labels: NDArray[Any]
) -> float:
    """First metric of the Keras edge side on a perfect channel."""
    told = made.contract.program.quality
    quality = np.full((len(labels), 1), told.told(told.clean), np.float32)
    controls = used_controls(made.contract.program.controls, None, len(labels))
    outputs = run_edge(made.graphs, inputs, quality, controls)[made.graphs[-1].name]
    output = made.contract.output
    truth = output.truth(images, labels)
    return output.measure(output.answers(outputs, truth), truth)[0].value
