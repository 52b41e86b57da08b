"""What the comparison asks of every method: images to payloads, received payloads to logits."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semflash.outputs.labels import Labels
from semflash.outputs.output import Output

Policy = Literal["deliver", "drop"]
Erased = Sequence[NDArray[np.bool_]]


class Method(abc.ABC):
    """A way to get a label over the channel.

    A payload that cannot be decoded (all of it lost, or a stream that its format refuses) gets the logarithm
    of the class prior, the same for all such payloads, and is counted in :attr:`undecodable`.

    Attributes:
        name: as in the catalogue. title, citation: for tables.
        settings: plain JSON, how it was built and tuned.
        output: how what :meth:`logits` gives is measured; labels, unless a method says otherwise.
        undecodable: payloads of the last call of :meth:`logits` that could not be decoded.
    """

    name: str
    title: str
    citation: str
    settings: dict[str, Any]
    output: Output = Labels(())
    undecodable: int = 0

    @abc.abstractmethod
    def encode(self, images: NDArray[np.uint8]) -> list[bytes]:
        """One payload per image; images uint8 (N, H, W, C). Payloads may differ in length."""

    @abc.abstractmethod
    def logits(
        self, payloads: Sequence[bytes], ber: float, erased: Erased | None = None
    ) -> NDArray[np.float32]:
        """Logits float32 (N, classes) of received payloads. Any bytes of any length are survived.

        Args:
            payloads: as sent, with bit errors.
            ber: what the receiver believes the bit error rate to be, 0..0.5.
            erased: per payload bool (length,), True where a byte never arrived; None: all arrived.
        """


def prior_logits(labels: NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """Logarithm of the class frequencies, float32 (classes,), with one more of each so that none is 0.

    >>> prior_logits(np.array([0, 0, 1]), 2).argmax()
    np.int64(0)
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64) + 1
    return np.log(counts / counts.sum()).astype(np.float32)


def lost(erased: Erased | None, count: int) -> NDArray[np.bool_]:
    """Payloads of which nothing arrived, bool (count,)."""
    if erased is None:
        return np.zeros(count, np.bool_)
    return np.array([bool(mask.all()) for mask in erased], np.bool_).reshape(count)


def block_of(payloads: Sequence[bytes], size_bytes: int) -> NDArray[np.uint8]:
    """Payloads of a fixed size as uint8 (N, size); cut or filled with zeros where they are of another."""
    data = b"".join(payload[:size_bytes].ljust(size_bytes, b"\0") for payload in payloads)
    return np.frombuffer(data, np.uint8).reshape(len(payloads), size_bytes)


def erased_symbols(erased: Erased | None, count: int, symbols: int, bits: int) -> NDArray[np.bool_] | None:
    """Symbols that have a bit in a lost byte, bool (N, symbols); None: nothing is lost.

    Args:
        erased: per payload, see :meth:`Method.logits`; bytes beyond a mask's end are lost.
        count: N. symbols, bits: of fixed-length payloads, most significant bit first.
    """
    if erased is None or not any(bool(mask.any()) for mask in erased):
        return None
    masks = np.ones((count, -(-symbols * bits // 8)), np.bool_)
    for row, mask in zip(masks, erased, strict=True):
        row[: len(mask)] = mask[: len(row)]
    per_bit = np.repeat(masks, 8, axis=1)[:, : symbols * bits]
    return np.asarray(per_bit.reshape(count, symbols, bits).any(axis=2), np.bool_)


def up_to_loss(payload: bytes, mask: NDArray[np.bool_]) -> bytes:
    """What stands before the first lost byte of a stream."""
    return payload[: int(mask.argmax())] if mask.any() else payload
