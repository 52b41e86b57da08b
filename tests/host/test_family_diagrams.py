"""The diagram in a family's docstring names its layers and their shapes; the built networks must agree.

A line of a diagram that ends in a shape is a step: a name, what is done, and the shape for one image with
the family's default sizes. ``image``, ``codes``, ``values`` and ``features`` are the codec's ends; every
other name is that of a layer of the device's network or of the decoder.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from semflash.codecs.registry import create, families  # noqa: E402

STEP = re.compile(r"^\s*(?P<name>[a-z]\w*)\s{2,}\S.*\s{2,}\((?P<shape>[\d, ]+)\)$")
ENDS = ("image", "codes", "values", "features")
#: The released variant refers to SemanticNN's diagram for what lies between.
SHORTENED = frozenset({"semanticnn-released"})

Shape = tuple[int, ...]


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
        automatic = keras.src.utils.naming.to_snake_case(type(layer).__name__)
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


@pytest.fixture(scope="module", params=families())
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def codec(family: str) -> Any:
    return create(family, {})


def test_every_step_of_the_diagram_has_the_shape_of_its_layer(family: str, codec: Any) -> None:
    diagram = steps(inspect.getdoc(type(codec)) or "")
    assert faults(diagram, shapes_of(codec), family in SHORTENED) == []


def test_the_steps_stand_in_the_order_of_the_layers(codec: Any) -> None:
    shown = [name for name, _ in steps(inspect.getdoc(type(codec)) or "")]
    assert [name for name in shown if name in ENDS] == list(ENDS)
    decoder = [layer.name for layer in named_layers(codec.decoder)]
    assert [name for name in shown if name in decoder] == [name for name in decoder if name in shown]


def test_the_docstring_cites_the_paper(codec: Any) -> None:
    """Its section, or that none can be cited; the module says which paper."""
    text = inspect.getdoc(type(codec)) or ""
    assert re.search(r"[Ss]ections? ([\dIVX]+|can be cited)", text.replace("no section", "section"))
    source = inspect.getdoc(inspect.getmodule(type(codec))) or ""
    assert re.search(r"arXiv \d{4}\.\d{5}|doi ", source + text)


def test_a_wrong_shape_and_a_missing_step_are_found() -> None:
    codec = create("semanticnn", {})
    text, shapes = inspect.getdoc(type(codec)) or "", shapes_of(codec)
    changed = text.replace("(7, 7, 48)", "(7, 7, 64)")
    assert faults(steps(changed), shapes, False) == ["up_1 is (7, 7, 48), the diagram says (7, 7, 64)"]
    without = "\n".join(line for line in text.splitlines() if "gate_2" not in line)
    assert faults(steps(without), shapes, False) == ["gate_2 is not shown"]
    renamed = text.replace("gate_2 ", "gate_9 ")
    assert "gate_9 is no layer" in faults(steps(renamed), shapes, False)[0]
