"""Bytes per image before anything is trained: the recipe's own rate, and what each knob would make of it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from semflash.codecs.registry import sizes_of
from semflash.errors import TrainingError, UsageError
from semflash.training.recipes.recipe import CodecRecipe
from semflash.training.run_dir import RunInfo

FLOAT_BYTES = 4
OWN, ATTACHED = "this recipe", "the attached codec"


@dataclasses.dataclass(frozen=True)
class RateRow:
    """What one image costs.

    Attributes:
        knob: What was changed from the recipe.
        latent_shape: Of the values sent.
        levels: Codes a symbol can take.
        bits: Per symbol.
        symbols: Symbols of an image.
        payload_bytes: Bytes of an image's payload.
        against_features: bytes of the split features as float32 over payload bytes; None: there are none.
        against_image: bytes of the raw image over payload bytes.
    """

    knob: str
    latent_shape: tuple[int, ...]
    levels: int
    bits: int
    symbols: int
    payload_bytes: int
    against_features: float | None
    against_image: float


def rate_table(
    recipe: CodecRecipe, image_shape: tuple[int, ...], feature_shape: tuple[int, ...]
) -> list[RateRow]:
    """The recipe's row first; rows with one knob of its family turned follow, where that can be built.

    Args:
        image_shape: (H, W, C).
        feature_shape: (h, w, c) at the split.

    Raises:
        UsageError: the recipe itself cannot be built.
    """
    shapes = {"image_shape": image_shape, "feature_shape": feature_shape}
    return rates_of(sizes_of(recipe.family, shapes | {"ber": recipe.ber} | recipe.sizes))


def rates_of(sizes: Any) -> list[RateRow]:
    """The row of some sizes, and those of their neighbours."""
    rows = [_row(OWN, sizes)]
    for knob, changes in sizes.turns().items():
        try:
            rows.append(_row(knob, dataclasses.replace(sizes, **changes)))
        except UsageError:
            continue  # a neighbour that cannot be built is no row
    return rows


def rate_of_run(run_dir: Path) -> RateRow:
    """What an image costs with the codec of a finished run, which is attached as it is.

    Raises:
        TrainingError: no finished run of a codec.
    """
    info = RunInfo.load(run_dir)
    if info.kind != "codec":
        raise TrainingError(
            "not the run of a codec", value=run_dir, remedy="name the directory of a codec run"
        )
    try:
        sizes = sizes_of(str(info.recipe["family"]), info.recipe["built_sizes"])
    except (KeyError, TypeError) as error:
        raise TrainingError(f"run.json lacks {error}", value=run_dir, remedy="train again") from error
    return _row(ATTACHED, sizes)


def rates_text(rows: list[RateRow]) -> str:
    """The table for a terminal."""
    lines = [
        f"{'bytes per image':<22}{'latent':>12}{'codes':>7}{'symbols':>9}{'bytes':>8}{'features':>10}"
        f"{'image':>8}"
    ]
    lines += [
        f"{row.knob:<22}{'x'.join(map(str, row.latent_shape)):>12}{row.levels:>7}{row.symbols:>9}"
        f"{row.payload_bytes:>8}{_times(row.against_features):>10}{_times(row.against_image):>8}"
        for row in rows
    ]
    return "\n".join(lines)


def _times(factor: float | None) -> str:
    return "-" if factor is None else f"{factor:.1f}x"


def _row(knob: str, sizes: Any) -> RateRow:
    bits = (sizes.levels - 1).bit_length()
    size = -(-sizes.symbols * bits // 8)
    features = math.prod(sizes.feature_shape) * FLOAT_BYTES / size if sizes.feature_shape else None
    return RateRow(
        knob,
        tuple(sizes.latent_shape),
        sizes.levels,
        bits,
        sizes.symbols,
        size,
        None if features is None else round(features, 2),
        round(math.prod(sizes.image_shape) / size, 2),
    )
