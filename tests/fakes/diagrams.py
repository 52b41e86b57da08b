"""Diagrams in the docstrings of codec families: what they say, against the networks that were built.

A line of a diagram that ends in a shape is a step: a name, what is done, and the shape for one image with
the family's default sizes. ``image``, ``codes``, ``values`` and ``features`` are the codec's ends; every
other name is that of a layer of the device's network or of the decoder. Where a family needs no task network,
the decoder ends in ``logits`` instead of ``features``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras.src.utils.naming import to_snake_case

STEP = re.compile(r"^\s*(?P<name>[a-z]\w*)\s{2,}\S.*\s{2,}\((?P<shape>[\d, ]+)\)$")
ENDS = ("image", "codes", "values", "features")

Shape = tuple[int, ...]


def ends_of(codec: Any) -> tuple[str, ...]:
    """The codec's ends, of which the decoder's last layer is one."""
    return ENDS if codec.sizes.feature_shape else (*ENDS[:-1], "logits")


def steps(text: str) -> list[tuple[str, Shape]]:
    """Names and shapes of a diagram's steps, in order."""
    found = (STEP.match(line) for line in text.splitlines())
    return [
        (step["name"], tuple(int(number) for number in step["shape"].split(",") if number.strip()))
        for step in found
        if step
    ]


def named_layers(model: Any) -> Iterator[Any]:
    """Layers that were given a name of their own, without the inputs."""
    for layer in model.layers:
        automatic = to_snake_case(type(layer).__name__)
        if not re.fullmatch(rf"{automatic}(_\d+)?", layer.name) and not isinstance(
            layer, keras.layers.InputLayer
        ):
            yield layer


def shapes_of(codec: Any) -> dict[str, Shape]:
    """Shapes of the ends and of every named layer of device network and decoder."""
    shapes = {"image": codec.sizes.image_shape, "codes": codec.code_shape, "values": codec.values_shape()}
    for model in (codec.device().network, codec.decoder):
        for layer in named_layers(model):
            assert layer.name not in shapes, f"two steps are called {layer.name}"
            shapes[layer.name] = layer.output.shape[1:]
    return {name: tuple(int(side) for side in shape) for name, shape in shapes.items()}


def faults(diagram: list[tuple[str, Shape]], shapes: Mapping[str, Shape], shortened: bool) -> list[str]:
    """What a diagram says wrongly, and what it leaves out."""
    wrong = [
        f"{name} is {shapes.get(name, 'no layer')}, the diagram says {shape}"
        for name, shape in diagram
        if shapes.get(name) != shape
    ]
    shown = [name for name, _ in diagram]
    wanted = ENDS if shortened else tuple(shapes)
    return [*wrong, *(f"{name} is not shown" for name in wanted if name not in shown)]
