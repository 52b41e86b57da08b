"""The last stage: decoder and tail learn on the codes that the quantised encoder really sends.

Encoder and device tail are quantised as the export does it, and stay fixed. The codes of all training images
(and of their mirror images) are computed once with the reference kernels; training then needs neither encoder
nor teacher. Needs TensorFlow, whose converter makes the int8 graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np

from semflash.array_files import read_npz, write_npz
from semflash.codecs.layers.channel import BinarySymmetricChannel
from semflash.conversion.content import content_sha256
from semflash.conversion.device import QuantisedDevice, quantise_device, sent_codes
from semflash.data.augment import Moves
from semflash.data.dataset import Dataset, Split
from semflash.program.reference.run import run
from semflash.runtime.reference import ReferenceGraph
from semflash.tasks.kinds import Classification, TaskKind
from semflash.training.batches import Batch
from semflash.training.models import TrainedCodec
from semflash.training.progress import Progress
from semflash.training.recipes.recipe import CodecRecipe
from semflash.training.stages import LossWeights, in_float32
from semflash.training.task import TrainedTask, shuffled

CODES_FILE = "int8_codes.npz"


class Int8Stage(keras.Model):
    """Received codes to logits; inputs {codes int32 (B, ...), ber (B, 1), told (B, 1), noise (B, ..., bits),
    teacher (B, classes)}, ``y``: targets of the task kind. The loss is the task's and distillation.
    """

    def __init__(
        self, codec: Any, tail: keras.Model, weights: LossWeights, kind: TaskKind | None = None
    ) -> None:
        super().__init__(name="int8")
        self.kind = kind or Classification()
        self.codec, self.tail, self.loss_weights = codec, tail, weights
        self.bit_channel = BinarySymmetricChannel(codec.bits_per_code(), name="bits")

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits (B, classes), or a detector's maps."""
        ber = keras.ops.convert_to_tensor(inputs["ber"])
        received = self.bit_channel(inputs["codes"], ber, inputs["noise"])
        told = keras.ops.convert_to_tensor(inputs.get("told", ber))
        return in_float32(self.codec.outputs(self.tail, received, told, training=training))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Task loss + distillation_weight x distillation."""
        weights, loss = self.loss_weights, self.kind.loss(y, y_pred)
        if weights.distillation:
            loss += weights.distillation * self.kind.distillation(
                y, y_pred, x["teacher"], weights.temperature
            )
        return loss


class DeviceCodes:
    """What the quantised encoder sends; everything is computed when it is first asked for, which must be
    after the stages that train the encoder.

    Args:
        trained: Codec and tail.
        train: The training images used.
        teacher: Gives the logits to distil.
        out: Codes are kept in ``out/int8_codes.npz``, for a run that is stopped and goes on.
    """

    def __init__(
        self,
        trained: TrainedCodec,
        data: Dataset,
        train: Split,
        teacher: TrainedTask,
        recipe: CodecRecipe,
        out: Path,
        progress: Progress,
    ) -> None:
        self.trained, self.data, self.train, self.teacher = trained, data, train, teacher
        self.recipe, self.out, self.progress = recipe, out, progress

    @cached_property
    def quantised(self) -> QuantisedDevice:
        """The device as the export makes it."""
        return quantise_device(self.trained.codec.device(), self.data)

    @property
    def encoder_sha256(self) -> str:
        """Of the content of the int8 network, hexadecimal."""
        return content_sha256(self.quantised.whole.data)

    @property
    def validation(self) -> np.ndarray:
        """Codes of the validation images, int32 (N, ...)."""
        return self._codes["validation"].astype(np.int32)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """({codes, ber, noise, told, teacher}, targets); told only where asked for."""
        bits, recipe = self.trained.codec.bits_per_code(), self.recipe
        for chosen in shuffled(self.train, recipe.batch, rng):
            view = (rng.random(len(chosen)) < recipe.augmentation.flip).astype(np.int64)
            codes = self._codes["train"][view, chosen].astype(np.int32)
            inputs = {"codes": codes, "ber": recipe.ber.sample(len(chosen), rng)}
            inputs["noise"] = rng.random((*codes.shape, bits), dtype=np.float32)
            inputs["teacher"] = self._teacher_logits[view, chosen]
            if recipe.estimate_noise:
                inputs["told"] = recipe.ber.tell(inputs["ber"], recipe.estimate_noise, rng)
            still = np.zeros(len(chosen), np.int64)
            moves, size = Moves(view == 1, still, still), self.train.images.shape[1:3]
            targets = self.teacher.kind.targets(self.train.labels[chosen], moves, (size[0], size[1]))
            yield inputs, targets

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        """``train`` uint8 (views, N, ...), ``validation`` uint8 (N, ...); the second view is mirrored."""
        path, key = self.out / CODES_FILE, self._key()
        if path.is_file():
            kept = read_npz(path)
            if kept.pop("key").tobytes() == key:
                return kept
        device, shape = self.quantised, self.trained.codec.code_shape
        graphs = {name: ReferenceGraph(model, name) for name, model in device.models.items()}
        views = self._views()
        self.progress.say(f"codes of {sum(map(len, views)):,} images by the int8 encoder")

        def codes_of(images: np.ndarray) -> np.ndarray:
            pixels = np.bitwise_xor(images, np.uint8(0x80)).view(np.int8)
            tensors = run(device.program, pixels, lambda name, inputs: graphs[name].run_all(inputs)).tensors
            return sent_codes(device.program, tensors).reshape(-1, *shape)

        found = {
            "train": np.stack([codes_of(v) for v in views]),
            "validation": codes_of(self.data.val.images),
        }
        write_npz(path, found | {"key": np.frombuffer(key, np.uint8)})
        return found

    @cached_property
    def _teacher_logits(self) -> np.ndarray:
        """Float32 (views, N, classes), or maps."""
        return np.stack([self.teacher.logits(view) for view in self._views()])

    def _views(self) -> list[np.ndarray]:
        images = self.train.images
        return (
            [images, np.ascontiguousarray(images[:, :, ::-1])] if self.recipe.augmentation.flip else [images]
        )

    def _key(self) -> bytes:
        """Of the encoder, its tail and the images."""
        digest = hashlib.sha256(self.encoder_sha256.encode())
        digest.update(msgspec.json.encode(self.quantised.program.stages))
        for view in self._views():
            digest.update(view.tobytes())
        return digest.digest()
