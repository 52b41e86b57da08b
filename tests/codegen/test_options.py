"""Options by name: numbers, types and defaults are those of LiteRT's own schema."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as litert

from codegen.graph_builder import GraphBuilder
from semflash_codegen.errors import MalformedModelError
from semflash_codegen.ir import Operator
from semflash_codegen.options import FIELDS, fused_activation, option, real_option
from semflash_codegen.schema import Options
from semflash_codegen.tflite_reader import read_model

#: Names of option tables by their tag, such as Conv2D.
TABLES = {
    number: name.removesuffix("Options")
    for name, number in vars(litert.BuiltinOptions).items()
    if name.endswith("Options")
}
EVERY = [(tag, name) for tag, fields in FIELDS.items() for name in fields]


def camel(name: str) -> str:
    return re.sub(r"_(.)", lambda found: found[1].upper(), name)


def operator(tag: int, **fields: Any) -> Operator:
    """An operator with the options that `tag` names, written by LiteRT's schema and read back."""
    graph = GraphBuilder((1, 4), (1.0, 0))
    output = graph.activation((1, 4), (1.0, 0))
    data = graph.finish(graph.operator("RELU", (graph.source,), output, TABLES[tag], **fields))
    return read_model(data).operators[0]


@pytest.mark.parametrize(("tag", "name"), EVERY)
def test_an_option_that_is_written_is_read(tag: int, name: str) -> None:
    truth = isinstance(getattr(getattr(litert, f"{TABLES[tag]}OptionsT")(), camel(name)), bool)
    if name == "alpha":
        assert real_option(operator(tag, alpha=0.25), "alpha") == 0.25
        return
    for value in (1,) if truth else (1, 3):
        assert option(operator(tag, **{camel(name): value}), name) == value


@pytest.mark.parametrize(("tag", "name"), EVERY)
def test_an_option_that_is_left_out_has_the_default_of_the_schema(tag: int, name: str) -> None:
    default = getattr(getattr(litert, f"{TABLES[tag]}OptionsT")(), camel(name))
    assert FIELDS[tag][name].default == default
    assert option(operator(tag), name) == default


def test_options_of_another_operator_and_none_at_all_are_malformed() -> None:
    with pytest.raises(MalformedModelError, match="lacks its option stride_w"):
        option(operator(Options.ADD), "stride_w")
    with pytest.raises(MalformedModelError, match="lacks its option axis"):
        option(Operator(0, "CONCATENATION", (0,), (1,)), "axis")


def test_an_operator_that_fuses_nothing_has_activation_0() -> None:
    assert fused_activation(Operator(0, "RELU", (0,), (1,))) == 0
    assert fused_activation(operator(Options.SPLIT)) == 0
    assert fused_activation(operator(Options.ADD, fusedActivationFunction=1)) == 1
