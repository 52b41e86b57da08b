"""The learned codecs that SemanticNN is compared with, each in the style of its paper (docs/baselines.md)."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _deepcod() -> Family:
    from semflash.codecs.compared.deepcod import DeepCOD, DeepCODSizes

    return Family(DeepCOD, DeepCODSizes)


def _bottlenetpp() -> Family:
    from semflash.codecs.compared.bottlenetpp import BottleNetPP, BottleNetPPSizes

    return Family(BottleNetPP, BottleNetPPSizes)


def _adjscc() -> Family:
    from semflash.codecs.compared.adjscc import ADJSCC
    from semflash.codecs.compared.bit_codec import BitCodecSizes

    return Family(ADJSCC, BitCodecSizes)


def _agilenn() -> Family:
    from semflash.codecs.compared.agilenn import AgileNN, AgileNNSizes

    return Family(AgileNN, AgileNNSizes)


def _limitnet() -> Family:
    from semflash.codecs.compared.limitnet import LimitNet, LimitNetSizes

    return Family(LimitNet, LimitNetSizes)


register("deepcod", _deepcod)
register("bottlenetpp", _bottlenetpp)
register("adjscc", _adjscc)
register("agilenn", _agilenn)
register("limitnet", _limitnet)
