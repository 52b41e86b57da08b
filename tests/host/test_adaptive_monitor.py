"""A monitor whose device follows the channel, over good and bad lines, and what is seen of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobs import cobs

from fakes import steered
from fakes.link_device import CODES_PART, CONTROL, on_wire, setting
from fakes.steered import Golden, Images, SteeredDevice, blocks
from semflash.bundle import Bundle
from semflash.channels.fading import Fading
from semflash.channels.trace import Trace
from semflash.edge.decoder import EdgeDecoder
from semflash.edge.evaluate_trace import Line, evaluate_trace
from semflash.errors import UsageError
from semflash.monitor.live.picture import lines
from semflash.monitor.live_table import PlainLines, print_summary
from semflash.monitor.monitor import MonitorOptions, MonitorResult, monitor
from semflash.monitor.progress import Progress, View
from semflash.monitor.replay import replay

pytest.importorskip("rich")
COUNT = 120
DATA = blocks(COUNT, seed=3)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return steered.symbols()


@pytest.fixture(scope="module")
def golden(bundle: Bundle) -> Golden:
    return Golden(bundle, DATA.images)


class Kept(View):
    """Keeps the last screen in colour, and that in ASCII."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.plain: list[str] = []

    def update(self, progress: Progress) -> None:
        self.shown = [text.plain for text in lines(progress, 100, 60)]
        self.plain = [text.plain for text in lines(progress, 60, 40, ascii_only=True)]


def run(
    bundle: Bundle,
    golden: Golden,
    device: SteeredDevice | None = None,
    view: View | None = None,
    **options: Any,
) -> MonitorResult:
    port = device or SteeredDevice(bundle, golden)
    return monitor(bundle, port, DATA, MonitorOptions(**({"count": COUNT} | options)), view)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def used(path: Path) -> list[int]:
    """The state of each image, in the order in which they came."""
    return [line["controls"]["state"] for line in records(path) if line["kind"] == "image"]


def test_the_state_follows_the_estimate_and_the_record_tells_when(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    result = run(bundle, golden, level=-4.0, record_path=path, check_golden=True)
    assert result.error is None and result.progress.tally.golden_wrong == 0
    first, *_, last = records(path)
    assert first["controls"] == {"state": "auto"} and "fading" not in first
    (change,) = (line for line in records(path) if line["kind"] == "control")
    assert change["received"] == 16 and change["controls"] == {"state": 0}
    assert change["snr_estimated"] == pytest.approx(-4.0, abs=1.0)
    states = used(path)
    assert len(states) == COUNT and sorted(set(states)) == [0, 4]
    # images that were under way when the state was set have the old one
    assert states[:16] == [4] * 16 and states[-90:] == [0] * 90
    counts = {str(state): count for state, count in Counter(states).items()}
    assert last["controls"] == {"state": {"set": "auto", "value": 0, "changes": 1, "used": counts}}
    assert result.progress.link.controls_missed == 0


def test_every_image_is_decoded_with_the_state_that_its_prefix_told(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    run(bundle, golden, level=-4.0, record_path=path)
    decoder = EdgeDecoder(bundle)
    images = [line for line in records(path) if line["kind"] == "image"]
    noisy = np.array([np.frombuffer(bytes.fromhex(line["payload_noisy"]), np.uint8) for line in images])
    found = decoder.logits(
        noisy,
        [line["snr_told"] for line in images],
        controls={"state": [line["controls"]["state"] for line in images]},
    )
    assert [line["predicted"] for line in images] == found.argmax(1).tolist()


@pytest.mark.parametrize(
    ("options", "first", "last", "said"),
    [
        ({"controls": {"state": 6}}, 6, 6, 6),
        ({"state_error": 2}, 6, 2, "auto"),
        ({"state_error": -1}, 3, 0, "auto"),
    ],
)
def test_a_state_may_be_forced_or_wrong(
    bundle: Bundle,
    golden: Golden,
    tmp_path: Path,
    options: dict[str, Any],
    first: int,
    last: int,
    said: object,
) -> None:
    path = tmp_path / "run.jsonl"
    result = run(bundle, golden, level=-5.0, record_path=path, **options)
    states = used(path)
    assert (states[0], states[-1]) == (first, last)
    assert result.as_dict()["controls"]["state"]["set"] == said
    assert records(path)[0].get("state_error", 0) == options.get("state_error", 0)


def test_a_trace_changes_the_level_by_image_and_the_state_behind_it(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    trace = Trace(((40, 18.0), (40, -6.0), (40, 9.5)))
    result = run(bundle, golden, trace=trace, record_path=path, window=64)
    images = [line for line in records(path) if line["kind"] == "image"]
    assert [line["snr_injected"] for line in images] == trace.levels(COUNT).tolist()
    changes = [
        (line["received"], line["controls"]["state"]) for line in records(path) if line["kind"] == "control"
    ]
    assert changes[0] == (16, 7) and changes[1][0] > 40 and changes[1][1] < 3
    assert all(after - before >= 16 for (before, _), (after, _) in pairwise(changes))
    assert records(path)[0]["trace"] == [[40, 18.0], [40, -6.0], [40, 9.5]]
    assert result.progress.level == 9.5


def test_the_library_function_gives_what_a_run_over_a_good_line_gives(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path, trace = tmp_path / "run.jsonl", Trace(((50, 15.0), (70, -5.0)))
    run(bundle, golden, trace=trace, record_path=path, window=128, seed=9, fading=Fading("rayleigh"))
    images = [line for line in records(path) if line["kind"] == "image"]
    states = used(path)
    delay = next(number for number, state in enumerate(states) if state != 4) - 16
    line = Line(pilot_bytes=4, window=128, delay=delay, fading=Fading("rayleigh"), seed=9)
    (found,) = evaluate_trace(bundle, DATA, trace, ["auto"], line=line)
    np.testing.assert_allclose([each["snr_told"] for each in images], found.told)
    alike = found.used["state"] == np.array(states)
    # how many images are under way when a state is set differs by one over the link
    assert (~alike).sum() <= found.as_json()["changes"]["state"]
    predicted = np.array([each["predicted"] for each in images])
    np.testing.assert_array_equal(predicted[alike], found.answers[alike])


def drop(device: SteeredDevice, which: Callable[[int], bool]) -> list[int]:
    """Lose the CONTROL frames of these numbers on their way to the device."""
    lost: list[int] = []
    seen = 0

    def hear(data: bytes) -> bytes:
        nonlocal seen
        kept = b""
        for piece in data.split(b"\0")[:-1]:
            gone = False
            if piece and cobs.decode(piece)[1] == CONTROL:
                gone = which(seen)
                seen += 1
            if gone:
                lost.append(seen)
            kept += b"" if gone else piece + b"\0"
        return kept

    device.hear = hear
    return lost


def test_a_lost_control_is_noticed_by_the_echo_and_the_image_sent_again(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path, device = tmp_path / "run.jsonl", SteeredDevice(bundle, golden)
    lost = drop(device, lambda number: number < 2)
    result = run(bundle, golden, device, level=-5.0, record_path=path, check_golden=True)
    assert len(lost) == 2 and result.error is None
    tally, link = result.progress.tally, result.progress.link
    assert (tally.received, tally.lost, tally.golden_wrong) == (COUNT, 0, 0)
    assert link.controls_missed >= 1 and link.images_resent >= 1
    assert set(used(path)) == {4, 0} and used(path)[-1] == 0
    assert device.controlled[-1].startswith(setting(1, 0))
    summary = io.StringIO()
    print_summary(result, summary)
    assert "resent" in summary.getvalue()


def test_a_line_that_loses_a_third_of_the_controls_mixes_nothing_up(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path, device = tmp_path / "run.jsonl", SteeredDevice(bundle, golden)
    lost = drop(device, lambda number: number % 3 == 0)
    trace = Trace(((30, 18.0), (30, -6.0), (30, 6.0), (30, 18.0)))
    result = run(bundle, golden, device, trace=trace, window=64, record_path=path, check_golden=True)
    assert lost and result.error is None and result.progress.tally.lost == 0
    assert (result.progress.tally.golden_checked, result.progress.tally.golden_wrong) == (COUNT, 0)
    changes = {line["controls"]["state"] for line in records(path) if line["kind"] == "control"}
    assert set(used(path)) <= changes | {4}, "no image with a state that nobody set"


def test_a_device_that_was_reset_is_told_again(bundle: Bundle, golden: Golden, tmp_path: Path) -> None:
    path, device = tmp_path / "run.jsonl", SteeredDevice(bundle, golden)
    answered = 0

    def fault(kind: int, raw: bytes) -> list[bytes]:
        nonlocal answered
        answered += kind == CODES_PART
        if kind == CODES_PART and answered == 60:
            device.reboot()
            return []
        return [on_wire(raw)]

    device.fault = fault
    result = run(bundle, golden, device, level=-5.0, record_path=path, timeout_s=0.2)
    assert result.error is None and result.progress.tally.received == COUNT
    assert result.progress.link.restarts == 1 and result.progress.tally.lost == 0
    assert device.controlled.count(setting(1, 0)) == 2, "once when it was due, once after the reset"
    assert used(path)[-50:] == [0] * 50


def test_an_echo_beyond_the_range_is_never_believed(bundle: Bundle, golden: Golden) -> None:
    device = SteeredDevice(bundle, golden)

    def steer(image: bytes, values: tuple[int, ...]) -> bytes:
        return golden.payload(image, (min(values[0], 7),))

    device.steer = steer
    heard = device._on_control

    def lies(raw: bytes, request: int, payload: bytes, damaged: bool) -> None:
        heard(raw, request, payload, damaged)
        device._waiting = (request, {1: 9})

    device._on_control = lies  # type: ignore[method-assign]
    result = run(bundle, golden, device, count=20, controls={"state": 7})
    tally = result.progress.tally
    assert tally.received == 0 and tally.controls == {} and tally.lost > 0
    assert result.progress.link.controls_missed >= tally.lost


def test_the_state_is_seen_live_in_lines_and_in_the_summary(bundle: Bundle, golden: Golden) -> None:
    view = Kept()
    result = run(bundle, golden, view=view, level=-5.0, fading=Fading("rayleigh"), state_error=1)
    (line,) = (line for line in view.shown if line.startswith("state"))
    assert (
        "1 used (-3 dB to 0 dB)" in line and "the channel is one for 0, set 1" in line and "1 change" in line
    )
    assert any("Rayleigh fading, one gain per image" in line for line in view.shown)
    assert not any("flipped so far" in line for line in view.shown), "symbols are changed, not flipped"
    assert any(line.startswith("state") for line in view.plain) and all(
        len(line) <= 60 for line in view.plain
    )
    summary = io.StringIO()
    print_summary(result, summary)
    text = " ".join(summary.getvalue().split())
    assert "followed the channel, changed once, wrong by +1; images by value 1:" in text
    assert "bits changed, Rayleigh fading, one gain per image" in text
    plain = io.StringIO()
    printed = PlainLines(plain)
    printed._next_s = 0.0
    printed.update(result.progress)
    assert ", state 1" in plain.getvalue()


def test_a_fixed_state_is_shown_as_one(bundle: Bundle, golden: Golden) -> None:
    view = Kept()
    result = run(bundle, golden, view=view, count=20, level=3.0, controls={"state": 7})
    assert any(
        line.startswith("state") and line.endswith("7 used (from 15 dB)  fixed") for line in view.shown
    )
    summary = io.StringIO()
    print_summary(result, summary)
    assert "7 throughout; images by value 7: 20" in " ".join(summary.getvalue().split())


@pytest.mark.parametrize("fading", [Fading(), Fading("rayleigh"), Fading("rayleigh", 4)])
def test_a_recording_gives_the_same_labels_states_and_estimate(
    bundle: Bundle, golden: Golden, tmp_path: Path, fading: Fading
) -> None:
    path = tmp_path / "run.sfraw"
    trace = Trace(((60, 15.0), (60, -5.0)))
    result = run(bundle, golden, trace=trace, fading=fading, raw_path=path, window=128, seed=3)
    again = replay(bundle, path)
    assert (again.images, again.changed, again.fading) == (COUNT, 0, str(fading))
    assert again.controls == result.progress.tally.controls
    assert again.correct == result.progress.tally.correct
    assert again.estimate == result.progress.estimate
    other = replay(bundle, path, fading=Fading("rayleigh", 2), level=0.0)
    assert other.changed > 0 and other.fading == "rayleigh:2"


def test_a_recording_of_a_channel_that_is_none_is_refused(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path = tmp_path / "run.sfraw"
    run(bundle, golden, count=20, fading=Fading("rayleigh"), raw_path=path)
    path.write_bytes(path.read_bytes().replace(b'"rayleigh"', b'"rayleigz"'))
    with pytest.raises(UsageError, match="no such fading"):
        replay(bundle, path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"controls": {"state": 8}}, "takes 0 to 7"),
        ({"state_error": 9}, "-7 to 7"),
        ({"controls": {"state": 1}, "state_error": 1}, "none can be wrong"),
        ({"level": 3.0, "trace": Trace(((1, 3.0),))}, "a level beside a trace"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_board(
    bundle: Bundle, golden: Golden, options: dict[str, Any], says: str
) -> None:
    device = SteeredDevice(bundle, golden)
    with pytest.raises(UsageError, match=says):
        run(bundle, golden, device, **options)
    assert not device.controlled and device.in_waiting == 0


def test_rates_are_followed_as_ratios_are(tmp_path: Path) -> None:
    bits = steered.bits(tmp_path)
    golden = Golden(bits, DATA.images)
    path = tmp_path / "run.jsonl"
    result = run(bits, golden, level=0.03, record_path=path, check_golden=True)
    assert result.progress.tally.golden_wrong == 0
    assert used(path)[0] == 4 and used(path)[-1] in (5, 6, 7)
    with pytest.raises(UsageError, match="does not fade"):
        run(bits, golden, level=0.03, fading=Fading("rayleigh"))


def test_without_pilots_the_injected_level_is_followed(
    bundle: Bundle, golden: Golden, tmp_path: Path
) -> None:
    path, device = tmp_path / "run.jsonl", SteeredDevice(bundle, golden, pilot_bytes=0)
    run(bundle, golden, device, level=-5.0, record_path=path)
    assert used(path)[-1] == 0


def test_the_images_are_different_and_so_are_their_payloads(golden: Golden) -> None:
    assert isinstance(DATA, Images)
    for one, other in pairwise(golden.by_state):
        assert (one.payloads != other.payloads).any(axis=1).mean() > 0.9
