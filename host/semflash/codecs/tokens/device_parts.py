"""The sender's weights as the stage of the device's side."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from semflash.codecs.token_side import LinearSpec, NormSpec, TokenBlockSpec, TokensStage
from semflash.codecs.tokens.blocks import Gate, TokenBlock


def stage_of(
    sender: Any, source: str, output: str, symbols: tuple[str, ...], share: str, choice: str
) -> TokensStage:
    """The stage, with the weights as they are now.

    Args:
        sender: :class:`semflash.codecs.tokens.sender.Sender`.
        source, output, symbols: Tensors.
        share, choice: Controls.
    """
    sizes = sender.sizes
    pairs = zip(sender.gates, sender.blocks, strict=True)
    return TokensStage(
        source=source,
        output=output,
        symbols=symbols,
        share=share,
        choice=choice,
        each=sizes.symbols_each,
        heads=sizes.heads,
        slack=sizes.slack,
        places=_numbers(sender.places),
        every=_numbers(sender.all),
        none=_numbers(sender.none),
        blocks=tuple(_block(gate, block) for gate, block in pairs),
        encoder=_linear(sender.encoder),
    )


def _block(gate: Gate, block: TokenBlock) -> TokenBlockSpec:
    return TokenBlockSpec(
        gate=_linear(gate.gate),
        threshold=_linear(gate.threshold),
        before=_norm(block.before),
        qkv=_linear(block.qkv),
        out=_linear(block.out),
        between=_norm(block.between),
        wide=_linear(block.wide),
        narrow=_linear(block.narrow),
    )


def _linear(layer: Any) -> LinearSpec:
    return LinearSpec(_numbers(layer.kernel), _numbers(layer.bias))


def _norm(layer: Any) -> NormSpec:
    return NormSpec(_numbers(layer.gamma), _numbers(layer.beta))


def _numbers(weight: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(weight), np.float32)
