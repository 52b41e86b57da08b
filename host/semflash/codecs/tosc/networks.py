"""The two networks of TOSC: convolutions on the device, dense layers on the edge (for boxes see there)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.layers.blocks import BN_MOMENTUM
from semflash.codecs.tosc.adaptation import ChannelAdaptive, seen_state
from semflash.codecs.tosc.box_decoder import build_box_decoder
from semflash.codecs.tosc.sizes import ToscSizes


def build_encoder(sizes: ToscSizes) -> keras.Model:
    """Image float (B, H, W, C) in [0, 1] to the map (B, h, w, c) that is then projected; one int8 graph."""
    image = keras.Input(sizes.image_shape, name="image")
    x = image
    for place, (channels, stride) in enumerate(sizes.convolutions, 1):
        kernel = 4 if stride == 4 else 3
        x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
        x = layers.ReLU(name=f"conv_{place}")(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))
    if sizes.places == "global":
        x = layers.Conv2D(sizes.summary, sizes.map_sides, use_bias=False)(x)
        x = layers.ReLU(name="summary")(layers.BatchNormalization(momentum=BN_MOMENTUM)(x))
    return keras.Model(image, x, name="encoder")


def build_decoder(sizes: ToscSizes, known: Callable[[Any], Any]) -> keras.Model:
    """[received (B, h, w, C), quality (B, 1), state (B, 1)] to logits (B, classes); without adaptation there
    is no state, and the quality changes nothing. For boxes see :func:`build_box_decoder`.

    Args:
        known: The quality as networks see it.
    """
    if sizes.task == "boxes":
        return build_box_decoder(sizes, known)
    received = keras.Input(sizes.latent_shape, name="received")
    quality, state = keras.Input((1,), name="quality"), keras.Input((1,), name="state")
    x = layers.Dense(sizes.decoder_width, activation="relu", name="hidden_1")(layers.Flatten()(received))
    if sizes.adaptive:
        told = ops.concatenate([known(quality), seen_state(state)], axis=-1)
        x = ChannelAdaptive(name="adapted")([x, told])
    x = layers.Dropout(sizes.dropout)(x)
    x = layers.Dense(sizes.decoder_width, activation="relu", name="hidden_2")(x)
    logits = layers.Dense(sizes.classes, name="logits")(x)
    inputs = [received, quality, state] if sizes.adaptive else [received, quality]
    return keras.Model(inputs, logits, name="decoder")
