"""What suits pictures of one's own: image size, sizes of the codec, batch and steps. Plain arithmetic, no
TensorFlow; the recipes ``photos`` are what the fields are put into."""

from __future__ import annotations

import dataclasses
from typing import Any

from semflash.errors import UsageError

FAMILIES: dict[str, str] = {
    "semanticnn": "a fixed number of bytes that stand damaged bits best",
    "limitnet": "the important bytes first, so that a payload may be cut anywhere",
}
#: Sides that are proposed; others work as well.
SIDES = (32, 48, 64, 96)
SIDE_MIN, SIDE_MAX = 16, 256
PAYLOADS = (24, 48, 96, 192)
#: Images from this side on are halved twice more in the encoder, so that the latent stays small.
LARGE_SIDE = 48
LEVELS, BITS = 8, 3
LATENT_MAX = 64
_WIDTHS = {"stem": 12, "middle": ((16, 1), (20, 2))}
_LARGE = {"stem": 12, "middle": ((16, 2), (20, 2))}
#: Least steps of task network and codec, which begin with stored weights: what fits into the first hour's
#: fifteen minutes (benchmarks/first_hour.py). Larger data take passes that come to more.
TASK_STEPS, CODEC_STEPS = 500, 1_000
TASK_PASSES, CODEC_PASSES = 12, 12


@dataclasses.dataclass(frozen=True)
class OwnPlan:
    """A training of one's own pictures.

    Attributes:
        side: Height and width that the pictures are resized to.
        payload_bytes: Of an image, as near to the wish as whole channels come.
        family: Of the codec.
        sizes: Fields of the codec's sizes.
        batch: Images per step.
        task_steps: Steps of the task network.
        codec_steps: Steps of the codec.
    """

    side: int
    payload_bytes: int
    family: str
    sizes: dict[str, Any]
    batch: int
    task_steps: int
    codec_steps: int


def side_for(short_side: int) -> int:
    """The largest proposed side up to 64 that needs no enlarging, else the smallest.

    >>> side_for(3000), side_for(64), side_for(50), side_for(20)
    (64, 64, 48, 32)
    """
    fitting = [side for side in SIDES if side <= min(64, short_side)]
    return max(fitting, default=SIDES[0])


def payload_for(side: int) -> int:
    """Bytes that are proposed.

    >>> payload_for(32), payload_for(64)
    (48, 96)
    """
    return 48 if side < LARGE_SIDE else 96


def plan_for(
    images: int, side: int, payload_bytes: int, family: str = "semanticnn", *, quick: bool = False
) -> OwnPlan:
    """A plan for so many training images.

    Args:
        quick: a tenth of the steps, to try the way.

    Raises:
        UsageError: a side or a payload that cannot be had.
    """
    if not SIDE_MIN <= side <= SIDE_MAX:
        raise UsageError(
            f"images have a side of {SIDE_MIN} to {SIDE_MAX}", value=side, remedy=f"--size {SIDES[2]}"
        )
    halvings = halvings_of(side, family)
    base = _WIDTHS if halvings == 2 else _LARGE
    places = places_of(side, halvings)
    extra = 1 if family == "limitnet" else 0  # the saliency is one channel
    latent = round(payload_bytes * 8 / BITS / places) - extra
    if not 1 <= latent <= LATENT_MAX:
        least, most = (bytes_of(places * (channels + extra)) for channels in (1, LATENT_MAX))
        raise UsageError(
            f"an image of {side}x{side} takes {least} to {most} bytes",
            value=payload_bytes,
            remedy=f"--bytes {payload_for(side)}",
        )
    sizes: dict[str, Any] = {**base, "latent": latent, "decoder_width": 48}
    if family == "limitnet":
        sizes |= {"channel_step": 1.0, "keep_low": 0.1}
    batch = 16 if images < 1_000 else 32 if images < 5_000 else 64 if images < 20_000 else 128
    epoch = max(1, images // batch)
    share = 0.1 if quick else 1.0
    return OwnPlan(
        side,
        bytes_of(places * (latent + extra)),
        family,
        sizes,
        batch,
        max(1, round(share * max(TASK_STEPS, TASK_PASSES * epoch))),
        max(1, round(share * max(CODEC_STEPS, CODEC_PASSES * epoch))),
    )


def halvings_of(side: int, family: str) -> int:
    """How often the convolutions behind the pool halve the sides; LimitNet's encoder always does so twice."""
    return 2 if side < LARGE_SIDE or family == "limitnet" else 3


def places_of(side: int, halvings: int) -> int:
    """Places of the latent's map: the pool, the middle convolutions and the last one halve the sides.

    >>> places_of(32, 2), places_of(48, 3), places_of(64, 3), places_of(100, 3)
    (16, 9, 16, 49)
    """
    small = side // 2
    for _ in range(halvings):
        small = -(-small // 2)
    return small * small


def bytes_of(symbols: int) -> int:
    """Bytes of so many codes of 3 bits."""
    return -(-symbols * BITS // 8)
