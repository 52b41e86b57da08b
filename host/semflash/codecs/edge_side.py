"""The edge's side of a codec: float32 graphs with named inputs, and the same path in Keras for training."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from semflash.bundle.schema import EdgeInput, GraphInput, QualityInput, ReceivedInput
from semflash.data.dataset import Dataset
from semflash.outputs.kinds import Task

DECODER, TASK_TAIL = "decoder", "tail"


@dataclass(frozen=True)
class EdgeGraphSpec:
    """A Keras model that becomes one float32 .tflite of the edge.

    Attributes:
        name: Lower case, unique in the codec.
        model: Its inputs have the names and the order of ``inputs``, its only output is what it gives.
        inputs: Where they come from.
    """

    name: str
    model: Any
    inputs: tuple[EdgeInput, ...]


class EdgeSide(abc.ABC):
    """What a codec does on the edge host.

    Attributes:
        sizes: The dataclass that the codec is built from; ``image_shape`` is read here.
    """

    sizes: Any

    @property
    @abc.abstractmethod
    def decoder(self) -> Any:
        """Keras model [received values, quality] to features."""

    @property
    @abc.abstractmethod
    def code_shape(self) -> tuple[int, ...]:
        """Shape of the codes of one image as :meth:`codes` gives them; flat, the order of sending."""

    @abc.abstractmethod
    def values_shape(self) -> tuple[int, ...]:
        """Shape of the values that the decoder gets for one image."""

    @abc.abstractmethod
    def codes(self, images: Any) -> Any:
        """Codes that the float encoder sends, int32 (B, *code_shape)."""

    @abc.abstractmethod
    def values(self, codes: Any, erased: Any = None) -> Any:
        """What the decoder gets for received codes, float (B, *values_shape).

        Args:
            codes: int32 (B, *code_shape), bit errors included.
            erased: Bool of the same shape, True where the code was lost: a neutral value stands there.
        """

    def decode(self, codes: Any, quality: Any, erased: Any = None, *, training: bool = False) -> Any:
        """Features (B, h, w, c) of received codes.

        Args:
            codes, erased: See :meth:`values`.
            quality: What the decoder is told, float (B, 1).
            training: Whether the edge side learns on these codes.
        """
        from keras import ops

        values = self.values(ops.convert_to_tensor(codes), erased)
        return self.decoder([values, ops.convert_to_tensor(quality)], training=training)

    def outputs(
        self, tail: Any, codes: Any, quality: Any, erased: Any = None, *, training: bool = False
    ) -> Any:
        """What the task gives for received codes, the whole path of inference; by default the tail's output.

        Args:
            tail: Task tail, features to its output.
            codes, quality, erased, training: See :meth:`decode`.
        """
        return tail(self.decode(codes, quality, erased, training=training), training=training)

    def edge_graphs(self, tail: Any) -> tuple[EdgeGraphSpec, ...]:
        """The graphs of the edge in the order of running; by default decoder and task tail.

        Args:
            tail: Task tail that was trained for the codec.
        """
        decoder = (ReceivedInput("latent", "codes"), QualityInput("ber"))
        features = GraphInput("features", DECODER)
        return (
            EdgeGraphSpec(DECODER, self.decoder, decoder),
            EdgeGraphSpec(TASK_TAIL, tail, (features,)),
        )

    @property
    def picture(self) -> str | None:
        """Which of :meth:`edge_graphs` gives a picture beside the task's output, float32 (B, H, W, C) in
        [0, 1] of the image's size; None: none does."""
        return None

    @property
    def level_map(self) -> str | None:
        """Which tensor of codes in the payload is the level of each patch, (rows, columns); None: none."""
        return None

    def task(self, tail: Any) -> Task:
        """How the output of the last of :meth:`edge_graphs` is read; by default what the task tail is for.

        Args:
            tail: Task tail that was trained for the codec.
        """
        from semflash.tasks.registry import kind_of

        return kind_of(tail, self.sizes.image_shape).contract_task()

    def check_data(self, tail: Any, data: Dataset) -> None:
        """Refuse a data set whose labels this codec's output cannot be compared with.

        Args:
            tail: Task tail that was trained for the codec.
            data: The data set.

        Raises:
            DatasetError: Its labels are of another kind.
        """
        from semflash.tasks.registry import kind_of

        kind_of(tail, self.sizes.image_shape).check(data)
