"""Rates that change with every image: made ones, files, and flags that say a rate."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from semflash.bundle import read_bundle
from semflash.channels.rate_trace import WAVE, RateTrace, parse_rate_trace
from semflash.cli.main import main
from semflash.errors import UsageError
from semflash.link.controls import the_rate
from semflash.monitor.live.controls import Controls, keys
from semflash.monitor.rate import Rate, RateUse
from semflash.program.controls import Control, rate_control
from semflash.program.quality import Ber

LIMIT = Control("limit", 1, 8, 1_000, 64, "bytes")
STATE = Control("state", 2, 0, 7, 4, "entry")
TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


def test_the_control_in_bytes_is_the_rate_whatever_its_name() -> None:
    assert the_rate((STATE, LIMIT)) is LIMIT and rate_control(()) is None
    with pytest.raises(UsageError, match=r"(?s)no control of this bundle is in bytes.*state 0 to 7"):
        the_rate((STATE,))
    with pytest.raises(UsageError, match=r"(?s)several controls.*limit 8 to 1000 bytes"):
        the_rate((LIMIT, LIMIT))


def test_made_traces_are_what_they_say() -> None:
    assert set(parse_rate_trace("steady:64", LIMIT).first(50).tolist()) == {64}
    assert parse_rate_trace("alternating:16,256", LIMIT).first(5).tolist() == [16, 256, 16, 256, 16]
    assert parse_rate_trace("alternating:8,9,10", LIMIT).first(4).tolist() == [8, 9, 10, 8]
    fading = parse_rate_trace("fading:16-256", LIMIT).first(3 * WAVE).tolist()
    assert (fading[0], fading[WAVE // 4], fading[WAVE // 2], fading[WAVE]) == (256, 64, 16, 256)
    assert all(0.9 < after / before < 1.12 for before, after in pairwise(fading))
    assert parse_rate_trace("fading:64-64", LIMIT).rates == (64,) * WAVE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64\n16\n32\n", [64, 16, 32]),
        ("# a walk\n64, 16, 32  # three\n8\n", [64, 16, 32, 8]),
        ("64 16\t32", [64, 16, 32]),
        ("64, 16,\n32\n", [64, 16, 32]),
        ("image,bytes\n0,64\n1,16\n", [64, 16]),
        ("Rate,snr\n64,3.5\n\n16,2\n", [64, 16]),
        ("\ufeffrate\n64\n", [64]),
        ('"image","bytes"\r\n"0","64"\r\n', [64]),
    ],
)
def test_a_file_has_a_number_for_each_image_or_a_named_column(
    text: str, expected: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text, encoding="utf-8")
    trace = parse_rate_trace(str(path), LIMIT)
    assert list(trace.rates) == expected and trace.name == str(path)
    assert trace.at(len(expected)) == expected[0], "it begins again"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1 to 1,000,000 rates"),
        ("# nothing\n", "1 to 1,000,000 rates"),
        ("rate\n", "1 to 1,000,000 rates"),
        ("64\n-3\n", "line 2"),
        ("64\n3.5\n", "line 2"),
        ("64,x\n", "line 1"),
        ("image,bytes\n0\n", "line 2"),
        ("image,bytes\n0,x\n", "line 2"),
        ("64\nbytes\n", "line 2"),
        ("7\n", "takes 8 to 1000 bytes.*image 0, 7"),
        ("64 1001\n", "image 1, 1001"),
        ("9" * 30, "line 1"),
        ("8\n" * 1_000_001, "1 to 1,000,000 rates"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_by_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"(?s){says}"):
        parse_rate_trace(str(path), LIMIT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steady:", "not a trace of rates"),
        ("steady:64,16", "not a trace of rates"),
        ("steady:7", "takes 8 to 1000"),
        ("fading:64", "LOW-HIGH"),
        ("fading:256-16", "LOW-HIGH"),
        ("fading:0-16", "LOW-HIGH"),
        ("fading:8-1001", "takes 8 to 1000"),
        ("alternating:16,x", "not a trace of rates"),
        ("alternating:16,2000", "image 1, 2000"),
        ("no-such-file", "cannot read the trace of rates"),
        (".", "cannot read the trace of rates"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){says}"):
        parse_rate_trace(text, LIMIT)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.bin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot read the trace of rates"):
        parse_rate_trace(str(path), LIMIT)


def test_keys_step_through_rates_and_stop_at_the_ends() -> None:
    rate = Rate(LIMIT, 64)
    assert rate.steps[:5] == (8, 12, 16, 24, 32) and rate.steps[-2:] == (768, 1000)
    controls = Controls.of(Ber(0.0, 0.1), 0.0, rate.steps, 100)
    found = []
    for key in "+=-_-":
        controls.press(key)
        found.append(controls.rate)
    assert found == [128, 192, 128, 96, 64]
    controls.rate = 1000
    controls.press("+")
    assert controls.rate == 1000 and controls.level == 0.0
    controls.rate = 8
    controls.press("-")
    assert controls.rate == 8
    for key, level in ((">", 0.0001), (".", 0.0002), ("<", 0.0001), (",", 0.0)):
        controls.press(key)
        assert controls.level == level
    assert keys(rate=True)[0][0] == "+ -" and "bytes" in keys(rate=True)[0][1]
    assert "damage" in keys(rate=False)[0][1] and len(keys(rate=True)) == len(keys(rate=False)) + 1


def test_without_a_rate_plus_and_minus_change_the_damage_as_ever() -> None:
    controls = Controls.of(Ber(0.0, 0.1), 0.0, (8, 16), None)
    controls.press("+")
    assert (controls.rate, controls.level) == (None, 0.0001)


def test_what_was_told_is_compared_with_what_was_sent() -> None:
    use = RateUse()
    assert use.words == "-" and use.as_dict()["told_mean"] is None
    for index, (told, sent) in enumerate(((64, 60), (16, 16), (32, 33))):
        use.add(index, told, sent)
    assert (use.exceeded, use.first_exceeded, use.least, use.most) == (1, [2], 16, 64)
    assert use.words == "16 to 64, 97.32 % of them sent, 1 payloads above"
    assert use.as_dict()["sent_share"] == pytest.approx(109 / 112)


def test_a_trace_hands_its_rates_out_in_order_and_remembers_them() -> None:
    rate = Rate(LIMIT, 8, RateTrace((64, 16), "alternating:64,16"))
    assert [rate.hand_out(index)["limit"] for index in (7, 3, 9)] == [64, 16, 64]
    assert [rate.told(index) for index in (7, 3, 9, 1)] == [64, 16, 64, None]
    rate.change(100)
    assert rate.hand_out(1) == {"limit": 100} and rate.told(9) == 64 and rate.trace is None
    rate.forget(9)
    rate.forget(9)
    assert rate.told(9) is None


@pytest.mark.parametrize(
    ("bundle", "flags", "says"),
    [
        (str(TINY), ["--rate", "20"], "no control of this bundle is in bytes"),
        (str(TINY), ["--rate-trace", "steady:20"], "no control of this bundle is in bytes"),
        ("fashion-mnist-limitnet", ["--rate", "5"], "takes 6 to 48"),
        ("fashion-mnist-limitnet", ["--rate", "49"], "takes 6 to 48"),
        ("fashion-mnist-limitnet", ["--rate", "many"], "no number of bytes"),
        ("fashion-mnist-limitnet", ["--rate", "20", "--control", "bytes=20"], "said twice"),
        ("fashion-mnist-limitnet", ["--rate-trace", "steady:20", "--control", "bytes=20"], "said twice"),
        ("fashion-mnist-limitnet", ["--rate", "20", "--rate-trace", "steady:20"], "not allowed with"),
        ("fashion-mnist-limitnet", ["--rate-trace", "fading:2-20"], "takes 6 to 48"),
    ],
)
@pytest.mark.parametrize("verb", ["monitor", "evaluate"])
def test_rates_that_a_bundle_has_not_are_refused(
    verb: str, bundle: str, flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([verb, bundle, *flags])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2 and says in capsys.readouterr().err


def test_a_rate_is_the_control_of_that_bundle() -> None:
    import argparse

    from semflash.cli import control_options

    bundle = read_bundle("fashion-mnist-limitnet")
    parser = argparse.ArgumentParser()
    control_options.add_control_flags(parser)

    def fixed(*flags: str, setting: int | None = None) -> dict[str, int]:
        return control_options.fixed(bundle, parser.parse_args(flags), setting)

    assert fixed("--rate", "20") == fixed("--control", "bytes=20") == fixed(setting=20) == {"bytes": 20}
    assert fixed("--rate", "20", setting=30) == {"bytes": 20} and fixed() == {}
    assert fixed("--control", "bytes=12", setting=30) == {"bytes": 12}
    args = parser.parse_args([])
    trace = control_options.rate_trace(bundle, args, "steady:20")
    assert trace is not None and trace.rates == (20,)
    assert control_options.rate_trace(bundle, parser.parse_args(["--rate", "20"]), "steady:20") is None
    tiny = read_bundle(TINY)
    assert control_options.rate_trace(tiny, args, "steady:20") is None
    assert control_options.fixed(tiny, args, 20) == {}, "a setting is for bundles that have a rate"
