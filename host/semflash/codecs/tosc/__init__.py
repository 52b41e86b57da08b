"""TOSC: a small encoder that learns from a stored large teacher and adapts to the channel (docs/tosc.md)."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _tosc() -> Family:
    from semflash.codecs.tosc.codec import Tosc
    from semflash.codecs.tosc.sizes import ToscSizes
    from semflash.codecs.tosc.training import ToscTraining

    return Family(Tosc, ToscSizes, ToscTraining)


register("tosc", _tosc, alone=True)
