"""The text of the engine `tflm`: model array, resolver, sizes, refusals. No compiler, no TFLM tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codegen.golden import request_with, table_tail
from semflash_codegen import CodegenRequest, Generated, generate
from semflash_codegen.errors import CapacityError, RequestError, UnsupportedModelError
from semflash_codegen.tflite_reader import read_model
from semflash_codegen.tflm import MARGIN_BYTES, convolution_symbols, kernel_stems, operators_of
from semflash_codegen.tflm.operators import OPERATORS, cmsis_nn_folders

MODELS = Path(__file__).parent / "models"


def request(name: str = "enc32", **changes: object) -> CodegenRequest:
    """Engine tflm for one of the test models, with a tail that fits its output."""
    data = (MODELS / f"{name}.tflite").read_bytes()
    values: dict[str, object] = {"engine": "tflm", "arena_bytes": 8000, **changes}
    return request_with(data, table_tail(data), **values)


def made(name: str = "enc32") -> Generated:
    return generate(request(name))


def test_the_model_file_is_in_the_array_byte_for_byte() -> None:
    text = made().files["sf_model_tflm_model.c"]
    _, _, body = text.partition("= {")
    values = bytes(int(number) for number in re.findall(r"\d+", body))
    assert values == (MODELS / "enc32.tflite").read_bytes()
    assert "__attribute__((aligned(16)))" in text


def test_the_resolver_has_exactly_the_models_operators_and_as_many_slots() -> None:
    text = made("residual").files["sf_model_tflm.cc"]
    names = dict.fromkeys(op.name for op in read_model((MODELS / "residual.tflite").read_bytes()).operators)
    assert re.findall(r"resolver->(Add\w+)\(\)", text) == [OPERATORS[name].add for name in names]
    assert f"MicroMutableOpResolver<{len(names)}>" in text


def test_every_add_call_is_checked() -> None:
    text = made("residual").files["sf_model_tflm.cc"]
    assert len(re.findall(r"if \(resolver->Add\w+\(\) != kTfLiteOk\)", text)) == text.count("resolver->Add")


def test_the_same_request_gives_the_same_bytes() -> None:
    assert made().files == made().files


def test_the_arena_is_what_was_measured_plus_the_largest_scratch_plus_the_margin() -> None:
    # enc32's second convolution has 4x4x24 weights an output; CMSIS-NN takes two such columns of 16 bits.
    assert made().report.arena_bytes == 8000 + 4 * 384 + MARGIN_BYTES


def test_the_state_in_the_header_is_arena_and_objects() -> None:
    generated = made()
    text = generated.files["sf_model_tflm.cc"]
    arena = int(re.search(r"kArenaBytes = (\d+)", text)[1])  # type: ignore[index]
    objects = int(re.search(r"kObjectBytes = (\d+)", text)[1])  # type: ignore[index]
    assert f"#define SF_MODEL_STATE_BYTES {arena + objects}\n" in generated.files["sf_model.h"]
    assert objects % 16 == 0


def test_both_engines_state_the_same_macs() -> None:
    for name in ("enc32", "residual", "mobile", "dense"):
        aot = generate(request(name, engine="aot", arena_bytes=None)).report
        assert generate(request(name)).report.macs == aot.macs > 0


def test_an_engine_without_a_measured_arena_is_refused() -> None:
    with pytest.raises(RequestError, match="arena"):
        generate(request(arena_bytes=None))


def test_an_operator_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATORS, "CONV_2D")
    with pytest.raises(UnsupportedModelError, match=r"layer 0 CONV_2D .* does not know operator CONV_2D"):
        generate(request())


def test_a_float_model_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="int8"):
        generate(request("refused_float"))


def test_an_arena_larger_than_the_boards_ram_says_by_how_much() -> None:
    with pytest.raises(CapacityError, match="bytes too much"):
        generate(request(ram_bytes=8000))


def test_convolutions_demand_their_cmsis_nn_symbols() -> None:
    operators = operators_of((MODELS / "mobile.tflite").read_bytes())
    assert convolution_symbols(operators) == ("arm_convolve_wrapper_s8", "arm_depthwise_conv_wrapper_s8")
    assert made("mobile").report.cmsis_symbols == convolution_symbols(operators)


def test_a_pool_alone_demands_none() -> None:
    assert convolution_symbols(("MAX_POOL_2D", "RELU")) == ()


def test_kernel_sources_come_once_and_sorted() -> None:
    assert kernel_stems(("MAX_POOL_2D", "CONV_2D", "AVERAGE_POOL_2D")) == ("conv", "pooling")
    assert cmsis_nn_folders(("MAX_POOL_2D", "RELU")) == ("NNSupportFunctions", "PoolingFunctions")


def test_a_hostile_model_name_cannot_end_the_banner() -> None:
    text = generate(request(model_name="x */ int main(void) {")).files["sf_model_tflm.cc"]
    assert text.splitlines()[0].count("*/") == 0
