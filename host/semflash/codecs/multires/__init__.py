"""Patches of several resolutions, ranked by a transformer's attention (docs/multires.md)."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _multires() -> Family:
    from semflash.codecs.multires.codec import Multires
    from semflash.codecs.multires.sizes import MultiresSizes
    from semflash.codecs.multires.training import MultiresTraining

    return Family(Multires, MultiresSizes, MultiresTraining)


register("multires", _multires, alone=True)
