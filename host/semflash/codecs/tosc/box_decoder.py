"""The decoder that finds objects: convolutions on the places that arrive, maps at twice their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from semflash.codecs.tosc.adaptation import ChannelAdaptive, seen_state
from semflash.codecs.tosc.sizes import ToscSizes
from semflash.outputs.detections import GEOMETRY
from semflash.tasks.detector import PRIOR_LOGIT
from semflash.tasks.names import MAPS
from semflash.tasks.residual import convolution, residual_block


def build_box_decoder(sizes: ToscSizes, known: Callable[[Any], Any]) -> keras.Model:
    """[received (B, h, w, C), quality (B, 1), state (B, 1)] to maps (B, 2 h, 2 w, classes + 4); without
    adaptation there is no state, and the quality changes nothing.

    Args:
        known: The quality as networks see it.
    """
    width = sizes.decoder_width
    received = keras.Input(sizes.latent_shape, name="received")
    quality, state = keras.Input((1,), name="quality"), keras.Input((1,), name="state")
    x = layers.Conv2D(width, 3, padding="same", activation="relu", name="hidden_1")(received)
    if sizes.adaptive:
        told = ops.concatenate([known(quality), seen_state(state)], axis=-1)
        x = ChannelAdaptive(name="adapted")([x, told])
    x = residual_block(x, width)
    x = layers.Dropout(sizes.dropout)(x)
    x = residual_block(x, width)
    x = layers.UpSampling2D(2, interpolation="nearest")(layers.Conv2D(-(-width // 2), 1)(x))
    x = convolution(x, -(-width // 2))
    prior = keras.initializers.Constant(PRIOR_LOGIT)
    heat = layers.Conv2D(sizes.classes, 1, bias_initializer=prior, name="heat")(x)
    geometry = layers.Conv2D(GEOMETRY, 1, name="geometry")(x)
    maps = layers.Concatenate(name=MAPS)([heat, geometry])
    inputs = [received, quality, state] if sizes.adaptive else [received, quality]
    return keras.Model(inputs, maps, name="decoder")
