"""Image formats as strong as they can be made: what fits, which side is taken, and flattened backgrounds."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest

pytest.importorskip("PIL.Image")

from PIL import Image

from semflash.baselines.strong import StrongJpeg, StrongStream, StrongWebp, flattened, room_behind_code
from semflash.errors import UsageError

SHAPE = (64, 64, 3)
KINDS = (StrongJpeg, StrongWebp)


def photo(seed: int = 0, cells: int = 10) -> np.ndarray:
    """Blotches of colour with a sharp square above, uint8 (64, 64, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
    pixels = np.array(small.resize((64, 64), Image.Resampling.BICUBIC))
    pixels[20:40, 20:40] = (230, 40, 60)
    return pixels


def error(first: np.ndarray, second: np.ndarray) -> float:
    return float(((first.astype(float) - second) ** 2).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100, 159, 293, 2_000])
def test_what_is_sent_fits_and_the_best_side_and_quality_are_taken(
    kind: type[StrongStream], size: int
) -> None:
    pixels, stream = photo(), kind(SHAPE, size)
    payload = stream.encode_best(pixels)
    assert payload is not None and len(payload) <= size
    decoded = stream.decode(payload)
    assert decoded is not None and decoded.shape == SHAPE
    found = []
    for index, side in enumerate((64, 32)):
        full = Image.fromarray(pixels)
        scaled = full if side == 64 else full.resize((side, side), Image.Resampling.BOX)
        fits = [
            each
            for quality in range(len(stream.qualities))
            if len(each := stream.compress(scaled, index, quality)) <= size
        ]
        found += [error(each, pixels) for one in fits[-1:] if (each := stream.decode(one)) is not None]
    assert error(decoded, pixels) == pytest.approx(min(found))


@pytest.mark.parametrize("kind", KINDS)
def test_more_bytes_never_cost_much_and_few_bytes_take_half_the_side(kind: type[StrongStream]) -> None:
    pixels, errors, sides = photo(3, 24), [], []
    for size in (100, 159, 293, 600, 1_500, 4_000):
        stream = kind(SHAPE, size)
        payload = stream.encode_best(pixels)
        assert payload is not None
        small = stream.expand(payload)
        decoded = stream.decode(payload)
        assert small is not None and decoded is not None
        errors.append(error(decoded, pixels))
        sides.append(len(small))
    assert sides[0] == 32 and sides[-1] == 64
    assert all(later < 1.05 * before for before, later in itertools.pairwise(errors))


def test_a_jpeg_is_its_scan_and_one_byte() -> None:
    """Against a whole file: everything but SOI..SOS and EOI is counted."""
    pixels = photo()
    payload = StrongJpeg(SHAPE, 10_000, (64,)).encode_best(pixels)
    assert payload is not None and payload[0] == 100  # the highest quality, the first side
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=100)
    whole = out.getvalue()
    assert whole.endswith(payload[1:] + b"\xff\xd9")
    assert whole[: -len(payload) - 1].endswith(bytes.fromhex("ffda000c03010002110311003f00"))


@pytest.mark.parametrize("kind", KINDS)
def test_into_too_few_bytes_nothing_fits(kind: type[StrongStream]) -> None:
    assert kind(SHAPE, 3).encode_best(photo()) is None


@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_are_decoded_or_refused(kind: type[StrongStream]) -> None:
    rng, stream = np.random.default_rng(0), kind(SHAPE, 159)
    payload = bytearray(stream.encode_best(photo()) or b"")
    for _ in range(60):
        damaged = bytearray(payload[: rng.integers(0, len(payload) + 1)])
        for place in rng.integers(0, max(1, len(damaged)), 3) if damaged else ():
            damaged[place] ^= 1 << rng.integers(8)
        found = stream.decode(bytes(damaged))
        assert found is None or found.shape == SHAPE
    assert stream.decode(b"") is None


def test_grey_images_and_sides_are_checked() -> None:
    grey = StrongJpeg((64, 64, 1), 300)
    payload = grey.encode_best(photo()[..., :1])
    assert payload is not None
    decoded = grey.decode(payload)
    assert decoded is not None and decoded.shape == (64, 64, 1)
    assert error(decoded, photo()[..., :1]) < photo()[..., :1].var() / 4
    with pytest.raises(UsageError, match="one bit names the side"):
        StrongJpeg(SHAPE, 100, (64, 32, 16))


def test_a_flattened_background_has_its_mean_colour_and_costs_less() -> None:
    images = np.stack([photo(1), photo(2), photo(3)])
    kept = np.zeros((3, 8, 8), bool)
    kept[0, 2:5, 2:5], kept[2] = True, True
    found = flattened(images, kept)
    inside = np.zeros((64, 64), bool)
    inside[16:40, 16:40] = True
    assert np.array_equal(found[0][inside], images[0][inside])
    assert (found[0][~inside] == images[0][~inside].mean(0).round()).all()
    assert np.array_equal(found[1:], images[1:])  # nothing kept, everything kept
    stream = StrongJpeg(SHAPE, 159)
    inner = []
    for image in (found[0], images[0]):
        decoded = stream.decode(stream.encode_best(image) or b"")
        assert decoded is not None
        inner.append(error(decoded[inside], images[0][inside]))
    assert inner[0] < 0.7 * inner[1]
    with pytest.raises(UsageError, match="divide"):
        flattened(images, np.ones((3, 7, 8), bool))


@pytest.mark.parametrize(("ber", "room"), [(0.0, 293), (0.0025, 146), (0.01, 146), (0.05, 97), (0.5, 97)])
def test_a_code_takes_its_share_of_what_is_sent(ber: float, room: int) -> None:
    assert room_behind_code(293, ber) == room


@pytest.mark.parametrize("ber", [-0.1, 0.6, float("nan")])
def test_a_rate_that_is_none_is_refused(ber: float) -> None:
    with pytest.raises(UsageError):
        room_behind_code(100, ber)
