"""The diagram in a family's docstring names its layers and their shapes; the built networks must agree."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

keras = pytest.importorskip("keras", reason="training's packages are not installed")

from fakes.diagrams import ends_of, faults, named_layers, shapes_of, steps  # noqa: E402
from semflash.codecs.registry import create, families  # noqa: E402

#: The released variant refers to SemanticNN's diagram for what lies between.
SHORTENED = frozenset({"semanticnn-released"})
#: Families of several networks: the diagram shows what goes between them, and no layers.
OF_NETWORKS = frozenset({"lamsc", "multires", "tokens"})


@pytest.fixture(scope="module", params=families())
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def codec(family: str) -> Any:
    return create(family, {})


def test_every_step_of_the_diagram_has_the_shape_of_its_layer(family: str, codec: Any) -> None:
    if family in OF_NETWORKS:
        pytest.skip("its diagram shows whole networks; tests of the codec compare what goes between them")
    diagram = steps(inspect.getdoc(type(codec)) or "")
    assert faults(diagram, shapes_of(codec), family in SHORTENED) == []


def test_the_steps_stand_in_the_order_of_the_layers(family: str, codec: Any) -> None:
    if family in OF_NETWORKS:
        pytest.skip("its diagram shows whole networks, each with its own order")
    shown = [name for name, _ in steps(inspect.getdoc(type(codec)) or "")]
    ends = ends_of(codec)
    assert [name for name in shown if name in ends] == list(ends)
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
