"""All methods of the comparison, each with the settings that are searched on the validation split.

Every method gets the same number of trials (:data:`TRIALS`), a higher learning rate among them; the best by
:func:`search_score` is the one that is reported. A trial is known by its place, so new ones go to the end.
Nothing is trained at import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from semflash.baselines import citations
from semflash.baselines.base import Method
from semflash.baselines.spec import Budget, Job, MethodSpec, Settings
from semflash.errors import UsageError
from semflash.training.models import TrainedCodec
from semflash.training.recipes.catalogue import as_released, codec_recipe
from semflash.training.recipes.recipe import METHOD_TERMS, CodecRecipe

TRIALS = 4
SEARCH_BERS = (0.0, 1e-2, 5e-2)
_CLEAN = {"low": 1e-4, "high": 6e-2, "clean_share": 1.0}
#: Highest learning rate of the trials with a higher one: of stage 2, or of a classical method's tuning.
_HIGHER = 3e-3
#: Without XAI, usage term and estimate noise.
_PLAIN: dict[str, Any] = {"xai_weight": 0.0, "usage_weight": 0.0, "estimate_noise": 0.0}
_DEEP: dict[str, Any] = {"sizes": {"stem": 12, "middle": [[16, 1], [20, 2]]}}


def search_score(accuracy_by_ber: Mapping[float, float]) -> float:
    """What a search maximises: mean validation accuracy over BER 0, 1 % and 5 %."""
    return sum(accuracy_by_ber[ber] for ber in SEARCH_BERS) / len(SEARCH_BERS)


def method_spec(name: str) -> MethodSpec:
    """Look a method up by name. UsageError: no such method."""
    if name not in METHODS:
        raise UsageError("no such method", value=name, remedy=f"use one of {', '.join(METHODS)}")
    return METHODS[name]


def _semanticnn(name: str) -> Callable[[int], CodecRecipe]:
    """SemanticNN's recipe (or as released) with as many latent channels of 4x4 codes of 3 bits as fit."""

    def recipe(size_bytes: int) -> CodecRecipe:
        latent, rest = divmod(size_bytes, 6)
        if rest or latent < 1:
            raise UsageError(
                "4x4 codes of 3 bits take a multiple of 6 bytes", value=size_bytes, remedy="24, 48 or 96"
            )
        own = codec_recipe("fashion-mnist-48")
        # The learning rate is searched here, from the same start as every other method's.
        own = replace(
            own,
            name=f"{name}-{size_bytes}",
            sizes=own.sizes | {"latent": latent},
            task_peak=CodecRecipe.task_peak,
            **METHOD_TERMS,
        )
        return as_released(own) if name == "semanticnn-released" else own

    return recipe


def _family(family: str, symbols_beside: int, *, stages: int = 2) -> Callable[[int], CodecRecipe]:
    """A baseline's recipe: as many latent channels of 4x4 codes of 3 bits as fit beside its other symbols.
    With one stage all epochs go to the task."""

    def recipe(size_bytes: int) -> CodecRecipe:
        latent = (8 * size_bytes // 3 - symbols_beside) // 16
        if latent < 1:
            raise UsageError("not one latent channel fits", value=size_bytes, remedy="24 bytes or more")
        name, sizes = f"{family}-{size_bytes}", {"latent": latent}
        if stages == 1:
            return CodecRecipe(name, family=family, sizes=sizes, autoencoder_epochs=0, task_epochs=10)
        return CodecRecipe(name, family=family, sizes=sizes)

    return recipe


def _jpeg(job: Job, settings: Settings, spec: MethodSpec) -> Method:
    from semflash.baselines.image_method import build_image_method
    from semflash.baselines.jpeg import JpegStream

    return build_image_method(JpegStream, job, settings, spec)


def _webp(job: Job, settings: Settings, spec: MethodSpec) -> Method:
    from semflash.baselines.image_method import build_image_method
    from semflash.baselines.webp import WebpStream

    return build_image_method(WebpStream, job, settings, spec)


def _uniform(job: Job, settings: Settings, spec: MethodSpec) -> Method:
    from semflash.baselines.uniform import build_uniform

    return build_uniform(job, settings, spec)


def _entropy(trained: TrainedCodec, job: Job, spec: MethodSpec) -> Method:
    from semflash.baselines.entropy import entropy_coded

    return entropy_coded(trained, job, spec)


_LEARNED = (
    MethodSpec(
        "semanticnn",
        "SemanticNN",
        citations.SEMANTICNN,
        "learned",
        recipe=_semanticnn("semanticnn"),
        trials=({}, _PLAIN, {"task_peak": _HIGHER}, {"estimate_noise": 0.0}),
    ),
    MethodSpec(
        "semanticnn-released",
        "SemanticNN as released",
        citations.SEMANTICNN,
        "learned",
        recipe=_semanticnn("semanticnn-released"),
        trials=({}, {"xai_weight": 0.0}, {"task_peak": _HIGHER}, {"xai_weight": 0.0, "task_peak": _HIGHER}),
    ),
    MethodSpec(
        "deepcod",
        "DeepCOD-style",
        citations.DEEPCOD,
        "learned",
        recipe=_family("deepcod", 0),
        trials=({"ber": _CLEAN}, {}, {"sizes": {"isometry": 1e-1}}, {"task_peak": _HIGHER}),
    ),
    MethodSpec(
        "bottlenetpp",
        "BottleNet++-style",
        citations.BOTTLENETPP,
        "learned",
        recipe=_family("bottlenetpp", 0, stages=1),
        trials=({}, _DEEP, {"sizes": _DEEP["sizes"] | {"decoder_convolutions": 2}}, {"task_peak": _HIGHER}),
    ),
    MethodSpec(
        "adjscc",
        "ADJSCC-style",
        citations.ADJSCC,
        "learned",
        recipe=_family("adjscc", 0, stages=1),
        trials=({}, _DEEP, _DEEP | {"task_peak": _HIGHER}, {"task_peak": _HIGHER}),
    ),
    MethodSpec(
        "agilenn",
        "AgileNN-style",
        citations.AGILENN,
        "learned",
        recipe=_family("agilenn", 10, stages=1),
        trials=(
            {},
            {"sizes": {"middle": [[16, 1]]}},
            {"sizes": {"middle": [[16, 1]], "skewness": 0.5, "task_share": 0.9}},
            {"task_peak": _HIGHER},
        ),
    ),
    MethodSpec(
        "limitnet",
        "LimitNet-style",
        citations.LIMITNET,
        "learned",
        recipe=_family("limitnet", 16),
        trials=(
            _DEEP | {"ber": _CLEAN},
            {"sizes": _DEEP["sizes"] | {"keep_low": 0.5}},
            {"sizes": _DEEP["sizes"] | {"keep_low": 0.5, "channel_step": 1.0}},
            {"sizes": _DEEP["sizes"] | {"keep_low": 0.5}, "task_peak": _HIGHER},
        ),
    ),
    MethodSpec(
        "entropy-coded",
        "SemanticNN, codes entropy-coded",
        citations.ENTROPY,
        "learned",
        recipe=_semanticnn("entropy-coded"),
        adapt=_entropy,
        framings=("drop", "deliver", "retransmit"),
        trials=(
            {},
            {"ber": _CLEAN},
            {"ber": _CLEAN, "usage_weight": 0.0},
            {"ber": _CLEAN, "task_peak": _HIGHER},
        ),
    ),
)

_SIDES = ({"side": 16}, {"side": 24}, {"side": 28}, {"side": 16, "peak": _HIGHER})
_SMALL_SIDES = ({"side": 8}, {"side": 12}, {"side": 16}, {"side": 8, "peak": _HIGHER})
_GRIDS = (
    {"pool": 4, "bits": 4},
    {"pool": 4, "bits": 3},
    {"pool": 4, "bits": 3, "joint": True},
    {"pool": 4, "bits": 4, "peak": _HIGHER},
)


def _with_bit_errors(trials: tuple[Settings, ...]) -> tuple[Settings, ...]:
    return tuple(dict(settings) | {"bit_errors": True} for settings in trials)


_CLASSICAL = (
    MethodSpec(
        "jpeg",
        "JPEG",
        citations.JPEG,
        "classical",
        build=_jpeg,
        trials=_SIDES,
        framings=("drop", "retransmit"),
    ),
    MethodSpec(
        "jpeg-delivered",
        "JPEG, damaged streams decoded",
        citations.JPEG,
        "classical",
        build=_jpeg,
        trials=_with_bit_errors(_SIDES),
    ),
    MethodSpec(
        "webp",
        "WebP",
        citations.WEBP,
        "classical",
        build=_webp,
        trials=_SMALL_SIDES,
        framings=("drop", "retransmit"),
    ),
    MethodSpec(
        "webp-delivered",
        "WebP, damaged streams decoded",
        citations.WEBP,
        "classical",
        build=_webp,
        trials=_with_bit_errors(_SMALL_SIDES),
    ),
    MethodSpec(
        "uniform",
        "Uniform quantisation of features",
        citations.UNIFORM,
        "classical",
        build=_uniform,
        trials=_GRIDS,
        framings=("deliver", "drop"),
    ),
)

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in (*_LEARNED, *_CLASSICAL)}

__all__ = [
    "METHODS",
    "SEARCH_BERS",
    "TRIALS",
    "Budget",
    "Job",
    "MethodSpec",
    "method_spec",
    "search_score",
]
