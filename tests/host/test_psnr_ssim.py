"""PSNR and SSIM against scikit-image, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from semflash.outputs.image import ImageReading, pixels
from semflash.outputs.kinds import ImageTask
from semflash.outputs.metrics import ACCURACY, PSNR, SSIM, Metric
from semflash.outputs.psnr_ssim import EQUAL_DB, psnr, ssim
from semflash.outputs.registry import output_of

metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")


def pairs(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with edges and texture, and what noise, blur and a shift in brightness make of them."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((shape[0], -(-shape[1] // 4), -(-shape[2] // 4), shape[3]))
    originals = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : shape[1], : shape[2]]
    noisy = originals + rng.normal(0, rng.uniform(0.01, 0.4, (shape[0], 1, 1, 1)), shape) + 0.05
    return np.clip(noisy, 0, 1).astype(np.float32), originals.astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 28, 28, 1), (4, 64, 48, 3), (2, 7, 7, 1), (3, 7, 30, 2)])
def test_both_are_those_of_scikit_image(shape: tuple[int, ...]) -> None:
    received, originals = pairs(shape, shape[1])
    ratios, similar = psnr(received, originals), ssim(received, originals)
    assert ratios.shape == similar.shape == (shape[0],) and similar.max() - similar.min() > 0.05
    for index, (one, other) in enumerate(zip(received.astype(float), originals.astype(float), strict=True)):
        expected = metrics.structural_similarity(other, one, channel_axis=-1, data_range=1.0)
        assert similar[index] == pytest.approx(expected, abs=1e-9)
        assert ratios[index] == pytest.approx(
            metrics.peak_signal_noise_ratio(other, one, data_range=1.0), abs=1e-9
        )


def test_ssim_in_parts_is_ssim_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    received, originals = pairs((9, 16, 16, 1), 3)
    whole = ssim(received, originals)
    monkeypatch.setattr("semflash.outputs.psnr_ssim._BATCH_VALUES", 4 * 256)
    np.testing.assert_array_equal(ssim(received, originals), whole)
    assert len(ssim(received[:0], originals[:0])) == 0


def test_equal_pictures_have_the_largest_values_and_opposite_ones_a_ratio_of_nothing() -> None:
    black, white = np.zeros((1, 8, 8, 1), np.float32), np.ones((1, 8, 8, 1), np.float32)
    assert (psnr(black, black)[0], ssim(black, black)[0]) == (EQUAL_DB, 1.0)
    assert psnr(black, white)[0] == 0.0 and ssim(black, white)[0] < 1e-3


def test_a_picture_is_clipped_measured_against_its_image_and_shown_beside_it() -> None:
    images = np.full((2, 8, 8, 1), 51, np.uint8)  # 0.2
    output = output_of(ImageTask(8, 8, 1), ())
    pictures = np.stack([np.full((8, 8, 1), 0.3), np.full((8, 8, 1), -4.0)]).astype(np.float32)
    answers = output.answers(pictures, output.truth(images, np.zeros(2)))
    assert answers[:, 0] == pytest.approx([20.0, -20 * np.log10(0.2)], abs=1e-4)
    ratio, similar = output.measure(answers, images)
    assert ratio.value == pytest.approx((20.0 - 20 * np.log10(0.2)) / 2, abs=1e-4)
    # two values: mean -+ 1.96 times half their distance
    assert ratio.high - ratio.value == pytest.approx(1.959964 * (20.0 - 13.9794) / 2, abs=1e-3)
    assert similar.low <= similar.value <= similar.high
    judge = output.judge(images, np.zeros(2))
    verdicts = [judge.judge(reading, index) for index, reading in enumerate(output.read(pictures))]
    assert [verdict.right for verdict in verdicts] == [None, None]
    assert verdicts[0].words.startswith("20.00 dB, SSIM 0.9") and verdicts[0].record["psnr"] == 20.0
    original, received = verdicts[0].pictures
    assert (original.name, received.name) == ("original", "received")
    assert (original.pixels == 51).all() and (received.pixels == 76).all()  # 76.5 rounds to even
    assert (verdicts[1].pictures[1].pixels == 0).all()
    assert judge.figures() == {"ssim": pytest.approx(similar.value, abs=1e-9)}
    assert judge.number(0) == -1 and len(judge) == 2


def test_pixels_are_rounded_to_the_nearest() -> None:
    assert pixels(np.array([0.0, 0.5 / 255, 1.5 / 255, 254.6 / 255, 1.0], np.float32)).tolist() == [
        *(0, 0, 2, 255, 255)
    ]


def test_guessing_a_picture_is_giving_the_mean_of_all() -> None:
    images = np.stack([np.full((8, 8, 1), value, np.uint8) for value in (0, 102)])  # mean 0.2
    chance = output_of(ImageTask(8, 8, 1), ()).chance(images, np.zeros(2))
    assert chance.guess == pytest.approx(-20 * np.log10(0.2), abs=1e-4)
    assert not chance.is_above(chance.guess + 0.4) and chance.is_above(chance.guess + 0.6)
    assert "13.98 dB or" not in chance.words(1.0) and "1.00 dB on 2 validation images" in chance.words(1.0)


def test_metrics_write_their_values_with_their_units() -> None:
    assert [metric.text(0.98765) for metric in (ACCURACY, PSNR, SSIM)] == ["98.77%", "0.99 dB", "0.9877"]
    assert PSNR.is_better(30, 20) and not Metric("error", "share", "lower").is_better(0.3, 0.2)
    assert (PSNR.unit_words, ACCURACY.sign, SSIM.sign) == ("dB", " %", "")


def test_a_reading_says_nothing_that_a_raw_recording_could_keep() -> None:
    assert ImageReading("a picture", None).number is None
