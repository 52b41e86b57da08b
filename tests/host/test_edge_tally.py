"""Sums of a monitor run, golden payloads in parts, and the labeller, each against numbers by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semflash.bundle import read_bundle
from semflash.channels.bits import flip_bits
from semflash.channels.of_quality import channel_of
from semflash.edge import golden, labeller
from semflash.edge.golden import GoldenEncoder
from semflash.edge.labeller import Labelled, Labeller, inject
from semflash.link.outcome import Received
from semflash.monitor.tally import Tally
from semflash.outputs.kinds import DetectionTask
from semflash.outputs.labels import LabelReading
from semflash.outputs.metrics import PSNR
from semflash.outputs.objects import ObjectsReading
from semflash.outputs.registry import output_of

BUNDLE = read_bundle(Path(__file__).parents[1] / "vectors" / "tiny.semcodec")
CHANNEL = channel_of(BUNDLE.quality)
IMAGES = np.random.default_rng(8).integers(0, 256, (7, 28, 28, 1), np.uint8)


def test_a_tally_starts_at_nothing():
    tally = Tally(5, 18)
    assert (tally.value, tally.images_per_s, tally.count_mean, tally.flipped_share) == (None,) * 4
    plain = tally.as_dict()
    assert plain == {
        "images": 5,
        "received": 0,
        "lost": 0,
        "unanswered": 5,
        "labelled": 0,
        "correct": 0,
        "accuracy": None,
        "accuracy_95": None,
        "payload_bytes": 18,
        "payload_bytes_mean": None,
        "payload_bytes_most": None,
        "inconsistent": 0,
        "damaged": 0,
        "bits_flipped": 0,
        "flipped_share": None,
        "golden": {"checked": 0, "different": 0, "first_different": []},
        "count_per_image": {"images": 0, "mean": None, "min": 0, "max": 0},
        "stack_bytes": None,
        "seconds": 0.0,
        "images_per_s": None,
    }


def test_a_tally_adds_up():
    tally = Tally(10, 18, received=6, lost=3, seconds=1.5, stack_bytes=900)
    for right, flips in ((True, 2), (False, 0), (True, 1)):
        tally.add(float(right), right=right, flips=flips, payload_bytes=18)
    for count in (500, 300, 700):
        tally.add_count(count)
    for index in range(30):
        tally.add_golden(index, equal=index % 5 == 0)
    plain = tally.as_dict()
    assert (plain["labelled"], plain["correct"], plain["accuracy"]) == (3, 2, pytest.approx(2 / 3))
    assert plain["accuracy_95"] == pytest.approx((0.20766, 0.93851), abs=1e-5)  # Wilson, z = 1.96
    assert (plain["unanswered"], plain["images_per_s"], plain["stack_bytes"]) == (1, 4.0, 900)
    assert (plain["bits_flipped"], plain["flipped_share"]) == (3, pytest.approx(3 / (3 * 144)))
    assert plain["count_per_image"] == {"images": 3, "mean": 500.0, "min": 300, "max": 700}
    wrong = [index for index in range(30) if index % 5]
    assert plain["golden"] == {"checked": 30, "different": 24, "first_different": wrong[:20]}


def test_flips_are_a_share_of_the_bits_that_came_not_of_those_that_could_have():
    tally = Tally(2, 48)
    for size in (12, 24):
        tally.add(1.0, right=True, flips=9, payload_bytes=size)
    plain = tally.as_dict()
    assert plain["flipped_share"] == pytest.approx(18 / (36 * 8))
    assert (plain["payload_bytes"], plain["payload_bytes_mean"]) == (48, 18.0)
    assert tally.payload_text == "18, the longest 24 (at most 48)" and Tally(2, 48).payload_text == "48"


def test_figures_of_a_detector_stand_beside_the_sums():
    tally = Tally(1, 18)
    tally.figures = {"map50": 0.5, "objects": 3}
    assert tally.as_dict()["map50"] == 0.5 and tally.as_dict()["objects"] == 3


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 1000])
def test_golden_payloads_do_not_depend_on_how_many_are_made_at_once(batch, monkeypatch):
    whole = GoldenEncoder(BUNDLE).payloads(IMAGES)
    monkeypatch.setattr(golden, "BATCH", batch)
    assert (GoldenEncoder(BUNDLE).payloads(IMAGES) == whole).all() and whole.shape == (7, 24)
    assert GoldenEncoder(BUNDLE).payloads(IMAGES[:0]).shape == (0, 24)


def came(index: int, payload: bytes, *, damaged: bool = False, pilots: bytes = b"") -> Received:
    return Received(index, 1000 + index, 1, payload, damaged, 0.01, pilot_errors=pilots)


def labelled(payloads: np.ndarray, **options: object) -> list[Labelled]:
    with Labeller(BUNDLE, None, **options) as edge:
        for index, payload in enumerate(payloads):
            edge.put(came(index, payload.tobytes()))
        return list(edge.finish())


def test_injected_flips_are_those_of_the_seed_rate_and_index_and_are_counted():
    payload = bytes(range(24))
    noisy, flips = inject(CHANNEL, payload, 0.2, 5, 3)
    rng = np.random.default_rng([5, round(0.2 * 2**40), 3])
    right = flip_bits(np.frombuffer(payload, np.uint8)[None], 0.2, rng)
    assert noisy == right.tobytes() and noisy != payload
    assert flips == bin(int.from_bytes(noisy, "big") ^ int.from_bytes(payload, "big")).count("1") > 0
    assert CHANNEL.rng(1, 0.5, 2).random() == np.random.default_rng([1, 2**39, 2]).random()


def test_pilots_get_flips_of_their_own_on_top_of_the_links():
    def wrong(errors: bytes, level: float) -> int:
        return CHANNEL.estimator().add(errors, level, CHANNEL.pilot_rng(1, level, 2))

    assert wrong(b"", 0.5) == 0
    assert wrong(b"\x81\x00\x01", 0.0) == 3
    rng = np.random.default_rng([1, round(0.25 * 2**40), 2, 1])
    flips = rng.random(8000) < 0.25
    assert wrong(bytes(1000), 0.25) == flips.sum()


def test_images_come_out_in_the_order_they_went_in_with_their_own_numbers():
    payloads = GoldenEncoder(BUNDLE).payloads(np.tile(IMAGES, (20, 1, 1, 1)))
    found = labelled(payloads, level=0.1, seed=4)
    assert [item.received.index for item in found] == list(range(140))
    for item in found:
        assert (item.noisy, item.flips) == inject(CHANNEL, item.received.payload, 0.1, 4, item.received.index)
        assert (item.level, item.told, item.golden_equal) == (0.1, 0.1, None)
        assert (item.pilot_bits, item.pilot_bit_errors) == (0, 0)
    assert labelled(payloads[:3])[0].flips == 0 and labelled(payloads[:3])[0].told == 0.0
    alone = [labelled(payloads[n : n + 1])[0].reading for n in range(7)]
    together = [item.reading for item in labelled(payloads[:7])]
    assert [reading.number for reading in alone] == [reading.number for reading in together]


def test_the_seed_is_zero_and_the_rate_nothing_unless_told():
    payloads = GoldenEncoder(BUNDLE).payloads(IMAGES)
    assert [item.noisy for item in labelled(payloads)] == [payload.tobytes() for payload in payloads]
    seeded = [item.noisy for item in labelled(payloads, level=0.2)]
    assert seeded == [
        inject(CHANNEL, payload.tobytes(), 0.2, 0, index)[0] for index, payload in enumerate(payloads)
    ]


def test_a_full_batch_goes_to_the_worker_and_a_part_only_when_pushed(monkeypatch):
    monkeypatch.setattr(labeller, "BATCH", 3)
    payloads = [payload.tobytes() for payload in GoldenEncoder(BUNDLE).payloads(IMAGES)]
    with Labeller(BUNDLE, None) as edge:
        edge.put(came(0, payloads[0]))
        edge.put(came(1, payloads[1]))
        assert edge.idle and list(edge.ready()) == []
        edge.push()
        assert not edge.idle
        for index in (2, 3, 4):
            edge.put(came(index, payloads[index]))
        assert len(edge._pending) == 2
        assert [item.received.index for item in edge.finish()] == [0, 1, 2, 3, 4]
        assert edge.idle


def test_only_a_worker_that_lags_far_behind_is_waited_for(monkeypatch):
    monkeypatch.setattr(labeller, "BATCH", 1)
    payload = GoldenEncoder(BUNDLE).payloads(IMAGES[:1])[0].tobytes()
    with Labeller(BUNDLE, None) as edge:
        blocked, result = edge._pool.submit, []

        class Slow:
            """A future that is never done and counts who waits for it."""

            def done(self) -> bool:
                return False

            def result(self) -> list[Labelled]:
                result.append(1)
                return []

        edge._pool.submit = lambda *_: Slow()  # type: ignore[assignment,return-value]
        for index in range(4):
            edge.put(came(index, payload))
        assert list(edge.ready()) == [] and result == []
        edge.put(came(4, payload))
        assert list(edge.ready()) == [] and result == [1]
        edge._pending.clear()
        edge._pool.submit = blocked  # type: ignore[method-assign]


def test_a_new_rate_counts_from_the_next_image_on():
    payloads = [payload.tobytes() for payload in GoldenEncoder(BUNDLE).payloads(IMAGES)]
    with Labeller(BUNDLE, None, level=0.0, seed=1) as edge:
        edge.put(came(0, payloads[0]))
        edge.inject_at(0.3)
        edge.put(came(1, payloads[1]))
        edge.inject_at(0.3)
        edge.put(came(2, payloads[2]))
        assert [(item.level, item.flips > 0) for item in edge.finish()] == [
            (0.0, False),
            (0.3, True),
            (0.3, True),
        ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "estimate"),
        ({"level": 0.1}, "estimate"),
        ({"level": 0.1, "known": True}, 0.1),
        ({"assumed": 0.02}, 0.02),
        ({"level": 0.1, "known": True, "assumed": 0.02}, 0.02),
    ],
)
def test_the_decoder_is_told_what_is_assumed_known_or_estimated_in_this_order(options, told):
    payload = GoldenEncoder(BUNDLE).payloads(IMAGES[:1])[0].tobytes()
    with Labeller(BUNDLE, None, **options) as edge:
        edge.put(came(0, payload, pilots=b"\xff\x00\x00\x00"))
        [item] = edge.finish()
        assert item.pilot_bits == 32 and (item.pilot_bit_errors == 8 or "level" in options)
        estimate = edge.estimate()
        assert estimate is not None and 0.1 < estimate.value < 0.5
        assert item.told == pytest.approx(estimate.value if told == "estimate" else told)


def test_the_estimate_forgets_as_fast_as_it_is_told_to():
    payload = GoldenEncoder(BUNDLE).payloads(IMAGES[:1])[0].tobytes()
    values = []
    for window in (64.0, 1e6):
        with Labeller(BUNDLE, None, window=window) as edge:
            edge.put(came(0, payload, pilots=b"\xff" * 8))
            for index in range(1, 9):
                edge.put(came(index, payload, pilots=bytes(8)))
            list(edge.finish())
            estimate = edge.estimate()
            assert estimate is not None
            values.append(estimate.value)
    assert values[0] < 0.02 < 0.1 < values[1] < 0.12


def test_the_golden_check_counts_modulo_the_images_and_leaves_damaged_payloads_out():
    payloads = [payload.tobytes() for payload in GoldenEncoder(BUNDLE).payloads(IMAGES)]
    other = bytes(byte ^ 1 for byte in payloads[2])
    with Labeller(BUNDLE, IMAGES) as edge:
        edge.put(came(8, payloads[1]))
        edge.put(came(2, other))
        edge.put(came(3, payloads[3], damaged=True))
        assert [item.golden_equal for item in edge.finish()] == [True, False, None]


def test_records_are_rounded_to_hundredths_of_a_pixel_and_four_or_six_places():
    boxes = output_of(DetectionTask(4, 4, 7, 3, 0.05, 10), ["cat", "dog"])
    truth = np.array([[[0.12345, 1.0, 7.98765, 7.0, 1.0, 0.0]]], np.float32)
    objects = np.array([[0.123456, 1.0, 7.987654, 7.0, 1.0, 0.876543]], np.float32)
    record = boxes.judge(None, truth).judge(ObjectsReading("1 dog", 0.876543, objects), 0).record
    assert record["boxes"] == [[0.12, 1.0, 7.99, 7.0, 1.0, 0.0]]
    assert record["objects"] == [[0.1235, 1.0, 7.9877, 7.0, 1.0, 0.8765]]
    classifier = BUNDLE.output.judge(None, np.array([3]))
    assert classifier.judge(LabelReading("2", 0.12345678, 2), 0).record == {
        "label": 3,
        "predicted": 2,
        "confidence": 0.123457,
    }


def test_a_tally_of_decibels_has_their_mean_and_its_normal_interval():
    tally = Tally(3, 18, PSNR)
    for value in (20.0, 26.0, 32.0):
        tally.add(value, right=None, flips=0, payload_bytes=18)
    plain = tally.as_dict()
    # 1.96 x 6 / sqrt(3), 6 the sample standard deviation
    assert (plain["psnr"], plain["psnr_95"]) == (26.0, pytest.approx((19.2104, 32.7896), abs=1e-4))
    assert "accuracy" not in plain and "correct" not in plain
