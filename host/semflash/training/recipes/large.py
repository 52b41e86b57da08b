"""Recipes for large data and a GPU, with the paper's networks: SemanticNN (arXiv 2511.11038), evaluation.

CIFAR-100 comes from ``keras.datasets``; ImageNet-200 is an image folder of 200 classes of ImageNet that the
user names with ``--dataset``, read as it is needed. What they cost: docs/large-data.md. They have not been
run to their end; every part of them is tested on tiny data of the same format.
"""

from __future__ import annotations

from semflash.data.augment import Augmentation
from semflash.tasks.presets import preset
from semflash.training.recipes.recipe import METHOD_TERMS, TF_DATA, CodecRecipe, TaskRecipe

CIFAR, IMAGENET = "cifar100", "imagenet200"
#: Latent channels behind the paper's heads: half of those at the split.
LATENTS = {"resnet50": 32, "mobilenetv2": 12}
#: What the networks' published weights take; weights that begin at random can take it as well.
INPUTS = {"resnet50": preset("caffe"), "mobilenetv2": preset("tf")}
#: The method's terms as in the comparison, but for XAI: maps of importance need the numpy pipeline.
_TERMS = {name: METHOD_TERMS[name] for name in ("usage_weight", "estimate_noise")}
_CIFAR_AUGMENTATION = Augmentation(flip=0.5, shift_px=4, erase=0.25)
_IMAGENET_AUGMENTATION = Augmentation(flip=0.5, shift_px=0, crop_area=0.2)


def _tasks() -> tuple[TaskRecipe, ...]:
    return tuple(
        recipe
        for network in LATENTS
        for recipe in (
            TaskRecipe(
                f"{CIFAR}-{network}",
                dataset=CIFAR,
                network=network,
                epochs=100,
                batch=128,
                peak=1e-3,
                label_smoothing=0.1,
                augmentation=_CIFAR_AUGMENTATION,
                pipeline=TF_DATA,
                precision="mixed_bfloat16",
                ema_decay=0.9995,
                ema_every=32,
                **INPUTS[network],
            ),
            TaskRecipe(
                f"{IMAGENET}-{network}",
                dataset=IMAGENET,
                network=network,
                image_size=224,
                epochs=90,
                batch=256,
                peak=1e-3,
                label_smoothing=0.1,
                augmentation=_IMAGENET_AUGMENTATION,
                pipeline=TF_DATA,
                precision="mixed_bfloat16",
                ema_decay=0.9995,
                ema_every=32,
                **INPUTS[network],
            ),
        )
    )


def _codecs() -> tuple[CodecRecipe, ...]:
    return tuple(
        recipe
        for network, latent in LATENTS.items()
        for recipe in (
            CodecRecipe(
                f"{CIFAR}-{network}",
                dataset=CIFAR,
                task=f"{CIFAR}-{network}",
                sizes={"encoder": "paper", "latent": latent},
                autoencoder_epochs=10,
                task_epochs=40,
                batch=128,
                peak=1e-3,
                task_peak=5e-4,
                augmentation=_CIFAR_AUGMENTATION,
                pipeline=TF_DATA,
                precision="mixed_bfloat16",
                ema_decay=0.9995,
                ema_every=32,
                **_TERMS,
            ),
            CodecRecipe(
                f"{IMAGENET}-{network}",
                dataset=IMAGENET,
                task=f"{IMAGENET}-{network}",
                sizes={"encoder": "paper", "latent": latent},
                autoencoder_epochs=2,
                task_epochs=20,
                batch=128,
                peak=1e-3,
                task_peak=5e-4,
                augmentation=_IMAGENET_AUGMENTATION,
                pipeline=TF_DATA,
                precision="mixed_bfloat16",
                ema_decay=0.9995,
                ema_every=32,
                **_TERMS,
            ),
        )
    )


LARGE_TASKS, LARGE_CODECS = _tasks(), _codecs()
