"""A transformer that names images already as the beginning: its blocks, places and head, where sizes fit.

The network ``vit`` (:mod:`semflash.tasks.transformer`) has convolutions, blocks that all patches take part
in, and a last block of a CLS token that attends to the patches: what a block of the receiver does with its
first token. Its perceptrons have GELUs where the device has ReLUs, and its convolutions are larger than the
device's; training mends both.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from semflash.codecs.tokens.blocks import TokenBlock
from semflash.tasks.transformer import CLASS_BLOCK, Block, ClassBlock, Patches

#: Layers of a block that are the same in both.
_SAME = ("before", "between", "wide", "narrow")


def begin(codec: Any, tail: Any) -> bool:
    """Put the weights of a task network's tail into a codec; False, and nothing done, where sizes differ.

    Args:
        codec: :class:`semflash.codecs.tokens.codec.Tokens`.
        tail: Of the task network, a Keras model of any kind.
    """
    blocks = [layer for layer in tail.layers if isinstance(layer, Block)]
    places = [layer for layer in tail.layers if isinstance(layer, Patches)]
    last = next((layer for layer in tail.layers if layer.name == CLASS_BLOCK), None)
    sizes = codec.sizes
    if not isinstance(last, ClassBlock) or len(places) != 1:
        return False
    found = (
        tuple(places[0].places.shape),
        len(blocks),
        1,
        last.attention.heads,
        int(last.wide.kernel.shape[1]),
    )
    wanted = ((sizes.tokens, sizes.width), sizes.device_blocks, sizes.edge_blocks, sizes.heads, sizes.hidden)
    if found != wanted:
        return False
    codec.sender.places.assign(places[0].places)
    for mine, theirs in zip(codec.sender.blocks, blocks, strict=True):
        _copy(mine, theirs)
    receiver = codec.receiver
    _copy(receiver.blocks[0], last)
    receiver.token.assign(last.token)
    for name in ("norm", "logits"):
        getattr(receiver, name).set_weights(tail.get_layer(name).get_weights())
    return True


def _copy(mine: TokenBlock, theirs: Any) -> None:
    for name in _SAME:
        getattr(mine, name).set_weights(getattr(theirs, name).get_weights())
    attention = theirs.attention
    mine.out.set_weights(attention.out.get_weights())
    mine.qkv.kernel.assign(ops.concatenate([attention.query.kernel, attention.key_value.kernel], axis=1))
    mine.qkv.bias.assign(ops.concatenate([attention.query.bias, attention.key_value.bias]))
