"""Recipes of codecs of other papers for the same scenes, with as many bytes. Keras is not loaded here."""

from __future__ import annotations

from typing import Any

from semflash.channels.ber_range import BerRange
from semflash.data.augment import Augmentation
from semflash.training.recipes.recipe import CodecRecipe

SEMANTICNN, LIMITNET = "semanticnn", "limitnet"
#: Codes are 2 bits; the latent has 8x8 places, of which each channel takes 16 bytes. LimitNet sends a map of
#: what matters besides, which counts as one.
LEVELS, CHANNEL_BYTES = 4, 16
IMAGES = 20_000


def recipe_of(family: str, size_bytes: int, task: str, seed: int) -> CodecRecipe:
    """As many steps as the tail of ``multires`` has, 1,250 of 64 images: a quarter of them for the features,
    the others with the task.

    Args:
        size_bytes: Of an image; a payload of LimitNet may be cut to fewer.
    """
    channels = size_bytes // CHANNEL_BYTES - (family == LIMITNET)
    sizes: dict[str, Any] = {"stem": 12, "levels": LEVELS, "latent": channels, "decoder_width": 64}
    if family == LIMITNET:
        sizes |= {"middle": [[16, 2], [24, 2]], "channel_step": 1.0, "keep_low": 0.3}
    else:
        sizes |= {"middle": [[16, 1], [24, 2]], "stride": 8}
    return CodecRecipe(
        f"scenes-{family}-{size_bytes}",
        dataset="fashion-scenes",
        family=family,
        sizes=sizes,
        task=task,
        batch=64,
        autoencoder_epochs=1,
        task_epochs=3,
        train_images=IMAGES,
        ber=BerRange(clean_share=1.0),  # nothing is damaged where these are compared
        weight_decay=0.01,
        augmentation=Augmentation(flip=0.5, shift_px=4),
        seed=seed,
    )
