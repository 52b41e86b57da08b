"""JPEG and WebP streams without their known parts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Image = pytest.importorskip("PIL.Image")

from semflash.baselines.image_streams import ImageStream  # noqa: E402
from semflash.baselines.jpeg import QUALITIES, JpegStream  # noqa: E402
from semflash.baselines.webp import QUALITIES as WEBP_QUALITIES  # noqa: E402
from semflash.baselines.webp import WebpStream  # noqa: E402
from semflash.errors import UsageError  # noqa: E402

KINDS = [JpegStream, WebpStream]


def pictures(channels: int, side: int = 28) -> np.ndarray:
    """Smooth shapes with an edge, uint8 (6, side, side, channels)."""
    y, x = np.mgrid[0:side, 0:side]
    grids = [np.where(x + k > y, 220 - 5 * k, 30 + 4 * x) for k in range(6)]
    return np.repeat(np.stack(grids)[..., None], channels, axis=3).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [24, 48, 96])
def test_streams_fit_the_bytes_and_look_like_the_image(kind: type[ImageStream], channels: int, size: int):
    stream = kind((28, 28, channels), size, (12, 8, 4, 1))
    for image in pictures(channels):
        payload = stream.encode(image)
        decoded = stream.decode(payload)
        assert 0 < len(payload) <= size
        assert decoded is not None and decoded.shape == image.shape
        flat = np.abs(image.astype(float) - image.mean()).mean()
        assert np.abs(decoded.astype(float) - image).mean() < 0.75 * flat


def test_a_jpeg_stream_decodes_to_what_pillow_makes_of_the_whole_file():
    stream, image = JpegStream((16, 16, 1), 200, (16,)), pictures(1, 16)[0]
    payload = stream.encode(image)
    whole = io.BytesIO()
    Image.fromarray(image[..., 0]).save(whole, "JPEG", quality=QUALITIES[payload[0] & 15])
    expected = np.asarray(Image.open(io.BytesIO(whole.getvalue())))
    assert (stream.expand(payload)[..., 0] == expected).all()
    assert whole.getvalue().endswith(payload[1:] + b"\xff\xd9")


def test_a_webp_stream_decodes_to_what_pillow_makes_of_the_whole_file():
    stream, image = WebpStream((16, 16, 3), 400, (16,)), pictures(3, 16)[0]
    whole = io.BytesIO()
    Image.fromarray(image).save(whole, "WEBP", quality=WEBP_QUALITIES[9], method=4)
    payload = stream.compress(Image.fromarray(image), 0, 9)
    expected = np.asarray(Image.open(io.BytesIO(whole.getvalue())).convert("RGB"))
    assert (stream.expand(payload) == expected).all()
    assert payload[2:] in whole.getvalue() and len(payload) <= len(whole.getvalue()) - 28


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_give_an_image_or_nothing(kind: type[ImageStream], data: bytes):
    decoded = kind((28, 28, 1), 48, (12, 8, 4)).decode(data)
    assert decoded is None or (decoded.shape == (28, 28, 1) and decoded.dtype == np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_and_cut_streams_give_an_image_or_nothing(kind: type[ImageStream]):
    stream, rng, decodable = kind((28, 28, 1), 48, (12, 8, 4, 1)), np.random.default_rng(0), 0
    payload = stream.encode(pictures(1)[0])
    for bit in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 128 >> bit % 8
        decodable += stream.decode(bytes(flipped)) is not None
        stream.decode(payload[: int(rng.integers(0, len(payload)))])
    assert decodable > 4 * len(payload)


def test_an_image_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="does not fit"):
        JpegStream((28, 28, 1), 3, (28,)).encode(pictures(1)[0])
    with pytest.raises(UsageError, match="sides"):
        JpegStream((28, 28, 1), 24, (28, 16, 8, 4, 2))
