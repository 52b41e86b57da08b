"""Decoding and evaluating a bundle whose device has states: the decoder knows which one was used."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fakes import steered
from fakes.idx_files import write_blocks
from fakes.steered import STEERED, Images, blocks
from semflash.bundle import Bundle, read_bundle
from semflash.channels.fading import Fading
from semflash.channels.of_quality import channel_for
from semflash.channels.trace import Trace, make_trace
from semflash.cli.main import main
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate import evaluate, record_measurement
from semflash.edge.evaluate_trace import Line, evaluate_trace
from semflash.edge.golden import GoldenEncoder
from semflash.edge.labeller import Labeller, inject
from semflash.errors import ProgramError, UsageError
from semflash.link.outcome import Received
from semflash.runtime.litert import load_interpreter

DATA = blocks(120)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return steered.symbols()


@pytest.fixture(scope="module")
def encoder(bundle: Bundle) -> GoldenEncoder:
    return GoldenEncoder(bundle)


@pytest.fixture(scope="module")
def decoder(bundle: Bundle) -> EdgeDecoder:
    return EdgeDecoder(bundle)


def by_hand(bundle: Bundle, payloads: np.ndarray, level: float, state: int) -> np.ndarray:
    """LiteRT alone: int8 times scale, the level and the state as they are."""
    interpreter = load_interpreter(bundle.edge["decoder"], "decoder.tflite")
    inputs = {
        each["name"].removeprefix("serving_default_").partition(":")[0]: each["index"]
        for each in interpreter.get_input_details()
    }
    interpreter.allocate_tensors()
    found = []
    for payload in payloads:
        symbols = np.float32(4 * 0.5**0.5 / 127) * payload.view(np.int8).astype(np.float32)
        interpreter.set_tensor(inputs["symbols"], symbols.reshape(1, 4, 4, 2))
        interpreter.set_tensor(inputs["snr"], np.array([[level]], np.float32))
        interpreter.set_tensor(inputs["state"], np.array([[state]], np.float32))
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(found)


def test_the_decoder_is_told_level_and_state_as_bare_numbers(
    bundle: Bundle, encoder: GoldenEncoder, decoder: EdgeDecoder
) -> None:
    for state, level in ((0, -6.0), (4, 6.5), (7, 18.0)):
        payloads = encoder.payloads(DATA.images[:9], {"state": state})
        found = decoder.logits(payloads, level, controls={"state": state})
        np.testing.assert_allclose(found, by_hand(bundle, payloads, level, state), rtol=1e-4, atol=1e-4)


def test_states_may_differ_by_payload_and_default_where_nobody_says(
    encoder: GoldenEncoder, decoder: EdgeDecoder
) -> None:
    payloads = encoder.payloads(DATA.images[:8])
    states = np.arange(8)
    together = decoder.logits(payloads, 6.0, controls={"state": states})
    single = [decoder.logits(payloads[n : n + 1], 6.0, controls={"state": n})[0] for n in states]
    np.testing.assert_allclose(together, single, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        decoder.logits(payloads, 6.0), decoder.logits(payloads, 6.0, controls={"state": 4})
    )
    assert abs(together[0] - decoder.logits(payloads, 6.0)[0]).max() > 1e-3
    np.testing.assert_array_equal(  # what no device of this bundle can use counts as its last
        decoder.logits(payloads, 6.0, controls={"state": 65_535}),
        decoder.logits(payloads, 6.0, controls={"state": 7}),
    )
    with pytest.raises(ProgramError, match="no such control"):
        decoder.logits(payloads, 6.0, controls={"rate": 1})
    with pytest.raises(ProgramError, match="one for each payload"):
        decoder.logits(payloads, 6.0, controls={"state": [1, 2]})


def test_a_batch_larger_than_the_decoders_keeps_states_with_their_payloads(
    encoder: GoldenEncoder, decoder: EdgeDecoder
) -> None:
    payloads = np.tile(encoder.payloads(DATA.images[:10]), (60, 1))
    states = np.arange(600) % 8
    found = decoder.logits(payloads, 3.0, controls={"state": states})
    for at in (0, 255, 256, 257, 599):
        one = decoder.logits(payloads[at : at + 1], 3.0, controls={"state": int(states[at])})
        np.testing.assert_allclose(found[at], one[0], rtol=1e-5, atol=1e-5)


def labels_by_hand(bundle: Bundle, level: float, state: int, seed: int, fading: Fading) -> np.ndarray:
    """The whole path once more: reference encoder, channel, LiteRT."""
    sent = GoldenEncoder(bundle).payloads(DATA.images, {"state": state})
    channel = channel_for(bundle.program, fading)
    noisy = channel.damage(sent, level, channel.rng(seed, level))
    return by_hand(bundle, noisy, min(max(level, -6.0), 18.0), state).argmax(1)


@pytest.mark.parametrize("fading", [Fading(), Fading("rayleigh")])
def test_evaluate_sets_the_state_of_each_level_and_tells_the_decoder(bundle: Bundle, fading: Fading) -> None:
    result = evaluate(bundle, DATA, [-9.0, 3.0, 18.0], seed=2, fading=fading)
    assert result.controls == {-9.0: {"state": 0}, 3.0: {"state": 3}, 18.0: {"state": 7}}
    for level, state in ((-9.0, 0), (3.0, 3), (18.0, 7)):
        expected = labels_by_hand(bundle, level, state, 2, fading)
        np.testing.assert_array_equal(result.predictions[level], expected)
    assert result.measurement.fading == str(fading) * bool(fading)
    assert result.as_json()["points"][1]["controls"] == {"state": 3}


def test_states_may_be_forced_or_wrong(bundle: Bundle) -> None:
    forced = evaluate(bundle, DATA, [-9.0, 18.0], controls={"state": 5})
    assert forced.controls == {-9.0: {"state": 5}, 18.0: {"state": 5}}
    wrong = evaluate(bundle, DATA, [-9.0, 3.0, 18.0], state_error=2)
    assert [each["state"] for each in wrong.controls.values()] == [2, 5, 7]
    np.testing.assert_array_equal(wrong.predictions[3.0], labels_by_hand(bundle, 3.0, 5, 0, Fading()))
    assert wrong.as_json()["state_error"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"controls": {"state": 8}}, "takes 0 to 7"),
        ({"controls": {"rate": 1}}, "no such control"),
        ({"controls": {"stream": 1}}, "no board takes part"),
        ({"controls": {"state": 1}, "state_error": 1}, "none can be wrong"),
        ({"state_error": 8}, "-7 to 7"),
    ],
)
def test_what_no_device_can_do_is_refused(bundle: Bundle, options, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        evaluate(bundle, DATA, [0.0], **options)


def test_a_recorded_measurement_says_its_fading_and_does_not_replace_that_without(
    bundle: Bundle, tmp_path: Path
) -> None:
    import shutil

    copy = read_bundle(shutil.copytree(STEERED, tmp_path / "steered.semcodec"))
    plain = record_measurement(copy, evaluate(copy, DATA, [6.0], limit=20))
    assert "fading" not in msgspec.to_builtins(plain.record.measurements[0])
    faded = record_measurement(plain, evaluate(copy, DATA, [6.0], limit=20, fading=Fading("rayleigh", 4)))
    again = record_measurement(faded, evaluate(copy, DATA, [3.0], limit=20, fading=Fading("rayleigh", 4)))
    found = read_bundle(copy.path)
    assert found.hash_hex == copy.hash_hex and found.record == again.record
    assert [(m.fading, m.points[0].level) for m in found.record.measurements] == [
        ("", 6.0),
        ("rayleigh:4", 3.0),
    ]


def test_bits_behind_a_projection_are_evaluated_at_bit_error_rates(tmp_path: Path) -> None:
    bits = steered.bits(tmp_path)
    assert bits.payload_bytes == 12
    result = evaluate(bits, DATA, [0.0, 1e-3, 0.05])
    assert [each["state"] for each in result.controls.values()] == [0, 3, 7]
    with pytest.raises(UsageError, match="does not fade"):
        evaluate(bits, DATA, [0.0], fading=Fading("rayleigh"))


def came(index: int, payload: bytes, state: int) -> Received:
    return Received(
        index, 100 + index, 1, payload, False, 0.01, controls={"state": state}, pilot_errors=bytes(4)
    )


def test_the_labeller_tells_the_decoder_what_the_prefix_said(bundle: Bundle, encoder: GoldenEncoder) -> None:
    sent = {state: encoder.payloads(DATA.images[:16], {"state": state}) for state in range(8)}
    with Labeller(bundle, DATA.images, level=9.0, known=True, seed=4) as edge:
        for index in range(16):
            edge.put(came(index, sent[index % 8][index].tobytes(), index % 8))
        found = list(edge.finish())
    channel = channel_for(bundle.program)
    for index, item in enumerate(found):
        noisy, _ = inject(channel, sent[index % 8][index].tobytes(), 9.0, 4, index)
        assert item.noisy == noisy and item.golden_equal
        expected = by_hand(bundle, np.frombuffer(noisy, np.uint8)[None], 9.0, index % 8)[0]
        assert item.reading.number == expected.argmax()


def test_the_estimate_is_there_as_soon_as_the_image(bundle: Bundle, encoder: GoldenEncoder) -> None:
    payload = encoder.payloads(DATA.images[:1])[0].tobytes()
    with Labeller(bundle, None, level=0.0, seed=1) as edge:
        assert edge.channel_level == 0.0, "what is injected, while no pilot came"
        edge.put(came(0, payload, 4))
        first = edge.channel_level
        assert first != 0.0 and abs(first) < 6.0
        edge.inject_at(15.0)
        for index in range(1, 60):
            edge.put(came(index, payload, 4))
        assert edge.channel_level > first + 3
        told = [item.told for item in edge.finish()]
    assert told[0] == pytest.approx(first) and told[-1] == pytest.approx(edge.channel_level)


def test_a_trace_without_changes_is_evaluate_with_the_same_state(bundle: Bundle) -> None:
    steady = Trace(((1, 11.0),))
    auto, genie, held = evaluate_trace(bundle, DATA, steady, ["auto", "genie", 2], line=Line(seed=5))
    assert set(genie.used["state"]) == {5} and set(genie.told) == {11.0}
    assert set(held.used["state"]) == {2} and set(held.right["state"]) == {5}
    # it begins at its default, 4, and after 16 images and the one on its way the state is the right one
    assert auto.used["state"][:17].tolist() == [4] * 17 and set(auto.used["state"][17:]) == {5}
    assert auto.as_json()["off_by"] == {"state": {"-1": 17, "0": 103}}
    assert auto.as_json()["changes"] == {"state": 1}
    sent = GoldenEncoder(bundle).payloads(DATA.images, {"state": 5})
    channel = channel_for(bundle.program)
    noisy = [inject(channel, row.tobytes(), 11.0, 5, index)[0] for index, row in enumerate(sent)]
    expected = by_hand(bundle, np.array([np.frombuffer(row, np.uint8) for row in noisy]), 11.0, 5).argmax(1)
    np.testing.assert_array_equal(genie.answers, expected)
    assert genie.score.value == (expected == DATA.labels).mean()


def test_a_channel_that_changes_with_every_image_is_too_fast_to_follow(bundle: Bundle) -> None:
    trace = make_trace("image", 120, -6.0, 18.0, seed=1)
    auto, genie = evaluate_trace(bundle, DATA, trace, line=Line(seed=1))
    assert (genie.used["state"] == genie.right["state"]).all()
    assert (auto.used["state"] != auto.right["state"]).mean() > 0.5
    assert auto.as_json()["changes"]["state"] <= 120 // 16


def test_what_is_set_takes_effect_behind_the_images_on_their_way(bundle: Bundle) -> None:
    trace = Trace(((30, 18.0), (90, -6.0)))
    for delay in (0, 3, 20):
        (auto,) = evaluate_trace(bundle, DATA, trace, ["auto"], line=Line(delay=delay, window=64))
        first = int(np.argmax(auto.used["state"] != 4))
        assert first == 16 + delay, "heard after 16 images"
        assert auto.used["state"][-1] == 0


def test_traces_of_what_follows_nothing_are_refused(bundle: Bundle) -> None:
    tiny = read_bundle(STEERED.with_name("tiny.semcodec"))
    with pytest.raises(UsageError, match="no control of this bundle follows"):
        evaluate_trace(tiny, DATA, Trace(((1, 0.0),)))
    with pytest.raises(UsageError, match="takes 0 to 7"):
        evaluate_trace(bundle, DATA, Trace(((1, 0.0),)), [8])
    for wrong in ({"pilot_bytes": 0}, {"delay": -1}, {"seed": -1}):
        with pytest.raises(UsageError, match="a line has pilots"):
            Line(**wrong)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)


def test_the_verb_shows_states_and_fading(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["evaluate", str(STEERED), "--dataset", "fashion-mnist", "--data-dir", str(data_dir)]
    assert main([*common, "--snr=-6,15", "--fading", "rayleigh:4", "--state-error=-1"]) == 0
    shown = capsys.readouterr().out
    assert "Rayleigh fading, one gain per 4 symbols" in shown and "states wrong by -1" in shown
    assert "state" in shown
    assert main([*common, "--snr=-6,15", "--state", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [point["controls"] for point in printed["points"]] == [{"state": 3}, {"state": 3}]
    assert main([*common, "--snr=-6,15", "--control", "state=2", "--state", "auto", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [point["controls"] for point in printed["points"]] == [{"state": 0}, {"state": 7}]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--state", "8"], "takes 0 to 7"),
        (["--state", "-1"], "neither a value nor auto"),
        (["--state", "maybe"], "neither a value nor auto"),
        (["--control", "state"], "not of the form"),
        (["--control", "rate=auto"], "no control that follows the channel"),
        (["--control", "rate=1"], "no such control"),
        (["--fading", "rician"], "no such fading"),
        (["--fading", "rayleigh:0"], "a symbol or more"),
        (["--state", "3", "--state-error", "1"], "none can be wrong"),
        (["--record", "--state", "3"], "belong to the levels"),
        (["--record", "--state-error", "1"], "belong to the levels"),
    ],
)
def test_the_verb_refuses_bad_flags(
    flags: list[str], says: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["evaluate", str(STEERED), "--dataset", "fashion-mnist", "--data-dir", str(data_dir)]
    try:
        code = main([*common, *flags])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2 and says in capsys.readouterr().err


def test_images_of_the_tests_are_told_apart() -> None:
    assert isinstance(DATA, Images) and len({image.tobytes() for image in DATA.images}) == len(DATA.images)
