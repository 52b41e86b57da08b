"""Accuracy of a method under the conditions of a run: images are encoded once per split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.plan import Measure
from semflash.baselines.accuracy import FRAMINGS, Framing, send
from semflash.baselines.base import Method
from semflash.channels.ber_estimate import BerEstimator
from semflash.channels.payloads import Channel
from semflash.errors import UsageError
from semflash.report.results import Row

#: Of the generator of BER estimates, beside that of the channel.
_ESTIMATE_STREAM = 1_729
#: Added to ratios in dB, which are far above its negative.
_DB_ABOVE = 1_000.0


@dataclass(frozen=True)
class Sent:
    """A split's payloads, and what answers are compared with (:meth:`Output.truth`)."""

    payloads: list[bytes]
    truth: NDArray[Any]


def estimate(how: str, ber: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What the decoder is told of each of `count` payloads, float64 (count,), 0..0.5.

    Args:
        how: ``exact``; ``+50%`` or ``-50%``; ``x10``; ``/10``; ``pilots:N``: what the receiver's own
            estimator says after N known bits that met the same channel, drawn for every payload.
        ber: of the channel.

    Raises:
        UsageError: another word.

    >>> estimate("x10", 0.02, 2, np.random.default_rng(0)).tolist()
    [0.2, 0.2]
    """
    if how == "exact":
        return np.full(count, ber)
    if match := re.fullmatch(r"pilots:([1-9]\d*)", how):
        pilots = int(match[1])
        wrong, places = np.unique(rng.binomial(pilots, ber, count), return_inverse=True)
        return np.array([_from_pilots(int(errors), pilots) for errors in wrong])[places]
    if match := re.fullmatch(r"([+-]\d+)%", how):
        return np.full(count, min(0.5, ber * (1 + int(match[1]) / 100)))
    if match := re.fullmatch(r"([x/])(\d+)", how):
        factor = float(match[2]) if match[1] == "x" else 1 / float(match[2])
        return np.full(count, min(0.5, ber * factor))
    raise UsageError("no such estimate", value=how, remedy="exact, +50%, -50%, x10, /10 or pilots:N")


def _from_pilots(errors: int, bits: int) -> float:
    """What a receiver tells its decoder that has seen these pilots and no others, 0..0.5."""
    estimator = BerEstimator()
    estimator.add(errors, bits)
    told = estimator.decoder_value
    assert told is not None
    return told


def measure(
    method: Method, splits: Any, measures: Sequence[Measure], framings: Sequence[str], seed: int
) -> tuple[list[Row], float]:
    """All rows, and the mean payload bytes on the split measured last.

    Args:
        splits: a data set with ``val`` and ``test``.
        framings: what the link does with damaged payloads; on the validation split only the first counts.
        seed: of the injected errors.
    """
    sent: dict[str, Sent] = {}
    rows: list[Row] = []
    for one in (one for one in measures if one.encoder == "float"):
        if one.split not in sent:
            split = getattr(splits, one.split)
            truth = method.output.truth(split.images, split.labels)
            sent[one.split] = Sent(method.encode(split.images), truth)
        chosen = framings if one.split == "test" else framings[:1]
        for channel in channels(one):
            for framing in chosen:
                rows += _condition(method, sent[one.split], one, channel, framing, seed)
    mean = float(np.mean([len(p) for p in sent[max(sent)].payloads])) if sent else float("nan")
    return rows, mean


def channels(one: Measure) -> Iterator[Channel]:
    """The channels of a measure; bursts that cannot reach a rate are left out."""
    for rate in one.rates:
        if one.channel == "gilbert-elliott":
            for burst in one.burst_bits:
                yield Channel("gilbert-elliott", rate, burst_bits=burst)
        elif one.channel in ("frame-loss", "deadline"):
            for size in one.frame_bytes:
                yield Channel(one.channel, rate, frame_bytes=size)  # type: ignore[arg-type]
        else:
            yield Channel(one.channel, rate)  # type: ignore[arg-type]


def _condition(
    method: Method, sent: Sent, one: Measure, channel: Channel, framing: str, seed: int
) -> Iterator[Row]:
    link = _framing(framing)
    arrival = send(sent.payloads, channel, link, channel.rng(seed))
    for how in one.estimates:
        rng = np.random.default_rng([seed, _ESTIMATE_STREAM, _number(channel)])
        told = estimate(how, channel.ber, len(sent.payloads), rng)
        if link.checked:  # what gets through is clean, and the receiver knows it
            told = np.zeros_like(told)
        undecodable, parts, order = 0, [], []
        for value in np.unique(told):
            chosen = np.flatnonzero(told == value)
            erased = None if arrival.erased is None else [arrival.erased[i] for i in chosen]
            logits = method.logits([arrival.payloads[i] for i in chosen], float(value), erased)
            parts.append(method.output.answers(logits, sent.truth[chosen]))
            order.append(chosen)
            undecodable += int(method.undecodable)
        truth = sent.truth[np.concatenate(order)]
        score = method.output.measure(method.output.joined(parts), truth, seed=seed)[0]
        yield Row(
            split=one.split,
            channel=channel.kind,
            rate=channel.rate,
            images=len(sent.truth),
            value=score.value,
            metric=method.output.metric,
            estimate=how,
            burst_bits=channel.burst_bits if channel.kind == "gilbert-elliott" else None,
            frame_bytes=None if channel.flips_bits else channel.frame_bytes,
            framing=framing,
            transmissions=float(arrival.transmissions.mean()),
            undecodable=undecodable,
        )


def _number(channel: Channel) -> int:
    """A whole number from 0 on for each rate; ratios in dB may be below 0."""
    return round((channel.rate + (_DB_ABOVE if channel.kind == "awgn" else 0.0)) * 2**40)


def _framing(name: str) -> Framing:
    return FRAMINGS[name]
