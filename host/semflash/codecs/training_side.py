"""The training's side of a codec: stages, the differentiable path, losses of its own."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from semflash.errors import UsageError


@dataclass(frozen=True)
class StageSpec:
    """A training stage: its name and whether the task's loss (and so the tail) takes part."""

    name: str
    uses_task: bool


@dataclass(frozen=True)
class StageContext:
    """What a training step knows, for a family's own loss terms (:meth:`Codec.stage_loss`).

    Attributes:
        images: float (B, H, W, C) in [0, 1]. labels: int (B,).
        quality, noise: of the channel, see :meth:`Codec.transmit`.
        features: of the task network's own head, float (B, h, w, c); None: not computed in this stage.
        importance: of the features for the task's loss, mean 1 per image, float (B, h, w, 1) or
            (B, 1, 1, c); None: not asked for.
        decoded: decoded features (B, h, w, c).
        logits: float (B, classes); None in stages without the task.
        trace: what :meth:`Codec.forward` handed over.
    """

    images: Any
    labels: Any
    quality: Any
    noise: Any
    features: Any
    importance: Any
    decoded: Any
    logits: Any
    trace: dict[str, Any]


def _no_term(term: str, remedy: str) -> UsageError:
    return UsageError("the family of the codec has no such loss term", value=term, remedy=remedy)


class TrainingSide(abc.ABC):
    """How a codec learns. Models and tensors are Keras's, whatever the backend.

    Attributes:
        needs_importance: Whether :meth:`stage_loss` reads the importance of the features.
        terms: Which of the shared terms the family has: ``usage`` (:meth:`usage_loss`), ``codes``
            (:meth:`code_loss`).
    """

    needs_importance: bool = False
    terms: frozenset[str] = frozenset()

    @abc.abstractmethod
    def bits_per_code(self) -> int:
        """Bits of one code, as they are sent."""

    @abc.abstractmethod
    def levels(self) -> int:
        """How many codes there are."""

    @abc.abstractmethod
    def stages(self) -> tuple[StageSpec, ...]:
        """Training stages in order."""

    @abc.abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the uniform noise that the channel takes for one image."""

    @abc.abstractmethod
    def forward(
        self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The whole way, differentiable: images to decoded features, and tensors on the way (the trace).

        The trace is what :meth:`stage_loss`, :meth:`usage_loss` and :meth:`code_loss` read.

        Args:
            images: Float (B, H, W, C) in [0, 1].
            quality: Of the channel, float (B, 1).
            noise: Float (B, *noise_shape), uniform in [0, 1).
            told: What the decoder is told of the quality, float (B, 1); None: the truth.
        """

    def adopt(self, head: Any) -> None:
        """Take the weights of the task network's head, where the encoder begins with it.

        The training calls this once, before the first stage. By default a codec takes nothing.

        Args:
            head: Keras model, image to features.
        """
        del head

    def check_code_term(self) -> None:
        """Find out before the training whether :meth:`code_loss` can be computed for these sizes.

        Only for families whose ``terms`` hold ``codes``.

        Raises:
            UsageError: It cannot.
        """
        raise _no_term("codes", "xai_code_weight=0")

    def transmit(self, images: Any, quality: Any, noise: Any, *, training: bool, told: Any = None) -> Any:
        """The features of :meth:`forward` alone."""
        return self.forward(images, quality, noise, training=training, told=told)[0]

    def stage_loss(self, stage: str, context: StageContext) -> Any | None:
        """A scalar loss of the family's own, added to that of the stage; None: none.

        Args:
            stage: Name out of :meth:`stages` (``polish`` for the repeated last stage).
        """
        del stage, context
        return None

    def code_loss(self, trace: dict[str, Any], quality: Any, importance: Any) -> Any:
        """Expected damage of the codes, weighed by the importance (B, h, w, 1) of where they stand; a scalar.

        Only for families whose ``terms`` hold ``codes``. ``quality``: BER (B, 1).
        """
        raise _no_term("codes", "xai_code_weight=0")

    def usage_loss(self, trace: dict[str, Any]) -> Any:
        """How far the use of the codes is from even, a scalar, at least 0.

        Only for families whose ``terms`` hold ``usage``.
        """
        raise _no_term("usage", "usage_weight=0")

    @abc.abstractmethod
    def parts(self) -> dict[str, Any]:
        """Everything with weights, by name, for saving and loading."""

    @abc.abstractmethod
    def edge_parts(self) -> frozenset[str]:
        """Which of :meth:`parts` the edge runs; the device runs the others, or nobody does after training."""
