"""Framings of the link, and the figure of merit of a method under one channel.

The experiments send with :func:`send` and count by themselves (many estimates of one transmission);
:func:`accuracy_under` measures one condition in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflash.baselines.base import Method, Policy
from semflash.channels.payloads import Channel
from semflash.errors import DatasetError, UsageError


@dataclass(frozen=True)
class Framing:
    """What the link does with a damaged payload.

    The check is ideal: it costs no bytes and finds every damaged bit, which favours the methods that need it.

    Attributes:
        policy: ``deliver``: handed to the method as it is; ``drop``: lost as a whole.
        retransmissions: most further transmissions of a damaged payload, over the same channel; 0: none.
    """

    policy: Policy = "deliver"
    retransmissions: int = 0

    def __post_init__(self) -> None:
        if self.policy not in ("deliver", "drop") or self.retransmissions < 0:
            raise UsageError("deliver or drop, and 0 or more retransmissions", value=self)

    @property
    def checked(self) -> bool:
        """Whether what gets through is known to be clean, so that the decoder is told BER 0 of it."""
        return self.policy == "drop"


#: What classical methods are reported under; learned ones are made for ``deliver``.
FRAMINGS = {
    "deliver": Framing("deliver"),
    "drop": Framing("drop"),
    "retransmit": Framing("drop", retransmissions=4),
}


@dataclass(frozen=True)
class Arrival:
    """What arrived. transmissions: per payload, int (N,)."""

    payloads: list[bytes]
    erased: list[NDArray[np.bool_]] | None
    transmissions: NDArray[np.int64]


def send(payloads: Sequence[bytes], channel: Channel, framing: Framing, rng: np.random.Generator) -> Arrival:
    """Over the channel, again where it was damaged and the budget allows."""
    received, erased = channel.pass_on(payloads, rng)
    times = np.ones(len(payloads), np.int64)
    for _ in range(framing.retransmissions):
        again = np.flatnonzero(_damaged(payloads, received, erased)).tolist()
        if not again:
            break
        times[again] += 1
        new, new_erased = channel.pass_on([payloads[i] for i in again], rng)
        for place, index in enumerate(again):
            received[index] = new[place]
            if erased is not None and new_erased is not None:
                erased[index] = new_erased[place]
    if framing.policy == "drop":
        damaged = _damaged(payloads, received, erased)
        erased = [np.full(len(p), gone) for p, gone in zip(payloads, damaged, strict=True)]
    return Arrival(received, erased, times)


def _damaged(
    sent: Sequence[bytes], received: Sequence[bytes], erased: Sequence[NDArray[np.bool_]] | None
) -> NDArray[np.bool_]:
    flipped = np.array([a != b for a, b in zip(sent, received, strict=True)], np.bool_)
    return flipped if erased is None else flipped | np.array([bool(mask.any()) for mask in erased])


def accuracy_under(
    method: Method,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    channel: Channel,
    seed: int,
    *,
    framing: Framing = FRAMINGS["deliver"],
    told: float | None = None,
    payloads: Sequence[bytes] | None = None,
) -> dict[str, Any]:
    """Measure one condition.

    Args:
        images, labels: uint8 (N, H, W, C), int (N,).
        channel: and its rate; the errors depend on the seed and the rate only.
        told: the BER the receiver believes, unless the framing is checked, where it knows of 0; None: the
            channel's.
        payloads: of the images, if they were encoded before.

    Returns:
        The method's first metric under its name (``accuracy``, a share), ``images`` and ``undecodable``
        (counts), ``mean_bytes`` (of a payload, sent once), ``transmissions`` (mean per payload).

    Raises:
        DatasetError: no images, or not one label each.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise DatasetError("no images, or not one label each", value=(len(images), len(labels)))
    sent = method.encode(images) if payloads is None else payloads
    arrival = send(sent, channel, framing, channel.rng(seed))
    believed = channel.ber if told is None else told
    found = method.logits(arrival.payloads, 0.0 if framing.checked else believed, arrival.erased)
    output = method.output
    truth = output.truth(images, labels)
    score = output.measure(output.answers(found, truth), truth, seed=seed)[0]
    return {
        output.metric.name: score.value,
        "images": len(labels),
        "undecodable": int(method.undecodable),
        "mean_bytes": float(np.mean([len(p) for p in sent])),
        "transmissions": float(arrival.transmissions.mean()),
    }
