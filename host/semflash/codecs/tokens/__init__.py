"""Tokens of an image, of which only those that matter are sent (docs/tokens.md)."""

from __future__ import annotations

from semflash.codecs.registry import Family, register


def _tokens() -> Family:
    from semflash.codecs.tokens.codec import Tokens
    from semflash.codecs.tokens.sizes import TokensSizes
    from semflash.codecs.tokens.training import TokensTraining

    return Family(Tokens, TokensSizes, TokensTraining)


register("tokens", _tokens, alone=True)
