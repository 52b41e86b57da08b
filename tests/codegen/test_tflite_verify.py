"""The structure of .tflite files: every offset within the file, every field known, nothing else."""

from __future__ import annotations

import inspect
import random
import re
import struct
from enum import IntEnum
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from codegen.golden import NAMES, load
from codegen.mutation import mutate
from semflash_codegen.errors import CodegenError, MalformedModelError, UnsupportedModelError
from semflash_codegen.schema import Activation, Padding, TensorType
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflite_verify import OPTIONS, TABLES, verify

FILES = sorted((Path(__file__).parents[2] / "host/semflash/zoo").glob("*/*.tflite"))
SCHEMA = {
    "model": schema.Model,
    "operator_code": schema.OperatorCode,
    "subgraph": schema.SubGraph,
    "tensor": schema.Tensor,
    "quantisation": schema.QuantizationParameters,
    "operator": schema.Operator,
    "buffer": schema.Buffer,
    "metadata": schema.Metadata,
    "signature": schema.SignatureDef,
    "tensor_map": schema.TensorMap,
}
TAGS = {number: name for name, number in vars(schema.BuiltinOptions).items() if isinstance(number, int)}
#: What the generated readers of the schema call with a field's position, by the kind of the field.
KINDS = {"Int8": "1", "Uint8": "1", "Bool": "1", "Int32": "4", "Uint32": "4", "Float32": "4"}
KINDS |= {"Int64": "8", "Uint64": "8"}


def fields(table: type) -> dict[int, str]:
    """Kind of each field of a table, by its number, out of LiteRT's own reader."""
    found = {}
    for name, method in vars(table).items():
        if not inspect.isfunction(method) or name.endswith(("AsNumpy", "Length", "IsNone")):
            continue
        text = inspect.getsource(method)
        place = re.search(r"Offset\((\d+)\)", text)
        if place is None:
            continue
        number = (int(place[1]) - 4) // 2
        scalar = re.search(r"number_types\.(\w+)Flags, (?:o \+|a \+)", text)
        if "Vector(o)" in text:
            found[number] = "*" + (KINDS[scalar[1]] if scalar else "table")
        elif "String(" in text:
            found[number] = "text"
        elif "Union(" in text:
            found[number] = "options"
        elif "Indirect(" in text:
            found[number] = "table"
        else:
            assert scalar is not None, name
            found[number] = KINDS[scalar[1]]
    return found


def expected(kind: str) -> str:
    """Our kind in the words of :func:`fields`."""
    named = kind.removeprefix("*")
    plain = named.isdigit() or named in ("text", "options")
    return kind if plain else kind.replace(named, "table")


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_litert_s(name: str) -> None:
    theirs = fields(SCHEMA[name])
    ours = TABLES[name].split()
    assert len(ours) == max(theirs) + 1, "LiteRT's schema has grown"
    for number, kind in enumerate(ours):
        assert kind == "-" or expected(kind) == theirs[number], (name, number)


@pytest.mark.parametrize("tag", OPTIONS)
def test_options_are_litert_s(tag: int) -> None:
    theirs = fields(getattr(schema, TAGS[tag]))
    ours = OPTIONS[tag].split()
    assert len(ours) == max(theirs, default=-1) + 1, f"{TAGS[tag]} has grown"
    for number, kind in enumerate(ours):
        assert kind == "-" or kind == theirs[number], (TAGS[tag], number)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (TensorType, schema.TensorType),
        (Padding, schema.Padding),
        (Activation, schema.ActivationFunctionType),
    ],
)
def test_numbers_are_litert_s(ours: type[IntEnum], theirs: type) -> None:
    assert len(ours) > 1
    for name, member in ours.__members__.items():
        assert member == getattr(theirs, name) and member.name == name


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.stem}-{path.stem}")
def test_what_converters_write_is_in_order(path: Path) -> None:
    verify(path.read_bytes())


def test_every_word_that_leaves_the_file_is_noticed_or_harmless() -> None:
    """Each word of a file in turn points far away; what passes is read to the end by a reader that looks."""
    data = load("conv_valid")
    refused = 0
    for at in range(0, len(data) - 3, 4):
        forged = bytearray(data)
        struct.pack_into("<I", forged, at, 0x7FFFFFFF)
        try:
            verify(bytes(forged))
        except CodegenError:
            refused += 1
    assert refused > 150


@pytest.mark.parametrize("name", NAMES[:6])
def test_whatever_the_bytes_the_answer_is_an_error_or_nothing(name: str) -> None:
    data, rng, refused = load(name), random.Random(name), 0
    for _ in range(150):
        mutant, _ = mutate(data, rng)
        try:
            verify(mutant)
        except CodegenError as error:
            assert error.what and error.remedy
            refused += 1
    assert 0 < refused < 150


def test_what_passes_is_read_by_litert_s_own_objects_without_a_stumble() -> None:
    """Their reader follows offsets as an interpreter does; Python would raise where C would crash."""
    data, rng, passed = load("dense"), random.Random(5), 0
    for _ in range(200):
        mutant, _ = mutate(data, rng)
        try:
            verify(mutant)
        except CodegenError:
            continue
        passed += 1
        schema.ModelT.InitFromPackedBuf(mutant, 0)
    assert passed > 20


def test_a_field_of_a_newer_schema_is_refused() -> None:
    """A vtable with one field more than the table is known to have."""
    builder = flatbuffers.Builder(64)
    builder.StartObject(11)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUint32Slot(10, 7, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    with pytest.raises(MalformedModelError, match="does not have"):
        verify(bytes(builder.Output()))


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff"])
def test_names_that_are_not_utf_8_are_refused(text: bytes) -> None:
    model = schema.ModelT.InitFromPackedBuf(load("enc32"), 0)
    model.description = text
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(MalformedModelError, match="UTF-8"):
        verify(bytes(builder.Output()))


def changed(change: str) -> bytes:
    """enc32 with one tensor changed."""
    model = schema.ModelT.InitFromPackedBuf(load("enc32"), 0)
    tensor = model.subgraphs[0].tensors[0]
    if change == "variable":
        tensor.isVariable = True
    elif change == "sparse":
        tensor.sparsity = schema.SparsityParametersT()
    else:
        tensor.shapeSignature = [-1, 32, 32, 4]
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_variables_sparse_tensors_and_shapes_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="variable"):
        read_model(changed("variable"))
    with pytest.raises(MalformedModelError, match="contradicts its signature"):
        read_model(changed("signature"))
    with pytest.raises(UnsupportedModelError, match="do not use: tensor field 6"):
        verify(changed("sparse"))


@pytest.mark.parametrize("field", ["mutatingVariableInputs", "intermediates"])
def test_operators_that_keep_something_between_images_are_refused(field: str) -> None:
    model = schema.ModelT.InitFromPackedBuf(load("enc32"), 0)
    setattr(model.subgraphs[0].operators[0], field, [True] if field.startswith("mutating") else [0])
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(UnsupportedModelError, match="keeps state between images"):
        verify(bytes(builder.Output()))


def test_a_list_that_is_longer_than_the_file_is_called_so() -> None:
    """The image's shape is said to have half as many numbers of four bytes as the file has bytes."""
    data = bytearray(load("enc32"))
    at = data.index(struct.pack("<5I", 4, 1, 32, 32, 3))
    struct.pack_into("<I", data, at, len(data) // 2)
    with pytest.raises(MalformedModelError, match="a list that leaves the file") as error:
        verify(bytes(data))
    assert error.value.value == len(data) // 2


def test_a_list_ends_at_the_end_of_the_file_and_no_item_later() -> None:
    data = bytearray(load("enc32"))
    at = data.index(struct.pack("<5I", 4, 1, 32, 32, 3))
    assert len(data) % 4 == 0
    most = (len(data) - at - 4) // 4
    struct.pack_into("<I", data, at, most)
    verify(bytes(data))
    struct.pack_into("<I", data, at, most + 1)
    with pytest.raises(MalformedModelError, match="outside the file"):
        verify(bytes(data))


def with_names(metadata_buffer: int, graph: int, tensor: int) -> bytes:
    """enc32 with metadata that name a buffer, and a signature that names a graph and a tensor of it."""
    model = schema.ModelT.InitFromPackedBuf(load("enc32"), 0)
    metadata, signature, entry = schema.MetadataT(), schema.SignatureDefT(), schema.TensorMapT()
    metadata.name, metadata.buffer = "note", metadata_buffer
    entry.name, entry.tensorIndex = "image", tensor
    signature.signatureKey, signature.subgraphIndex = "serving_default", graph
    signature.inputs, signature.outputs = [entry], []
    model.metadata, model.signatureDefs = [metadata], [signature]
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_metadata_and_signatures_name_what_the_model_has() -> None:
    model = schema.ModelT.InitFromPackedBuf(load("enc32"), 0)
    buffers, tensors = len(model.buffers), len(model.subgraphs[0].tensors)
    verify(with_names(buffers - 1, 0, tensors - 1))
    for names, who in (
        ((buffers, 0, 0), "metadata"),
        ((0, 1, 0), "a signature"),
        ((0, 0, tensors), "a signature"),
    ):
        with pytest.raises(MalformedModelError, match=f"{who} names what the model does not have") as error:
            verify(with_names(*names))
        assert error.value.value == max(names)
