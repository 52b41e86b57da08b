"""Bits where importance says, by what each block's own coefficients leave (docs/lamsc.md)."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _lamsc() -> Family:
    from semflash.codecs.lamsc.codec import Lamsc
    from semflash.codecs.lamsc.sizes import LamscSizes
    from semflash.codecs.lamsc.training import LamscTraining

    return Family(Lamsc, LamscSizes, LamscTraining)


register("lamsc", _lamsc, alone=True)
