"""The two stages as Keras models with their own loss."""

from __future__ import annotations

from typing import Any

import keras

from semflash.codecs.training_side import StageContext


class DistilStage(keras.Model):
    """Image to logits or maps; inputs {image, quality, told, state, noise, answer (only with a teacher)},
    ``y``: targets.

    Args:
        codec: :class:`semflash.codecs.tosc.codec.Tosc`.
        share: alpha, weight of the teacher's term, 0..1.
        temperature: T of the distillation.
    """

    def __init__(self, codec: Any, share: float, temperature: float, *, name: str = "distil") -> None:
        super().__init__(name=name)
        self.codec, self.share, self.temperature = codec, share, temperature

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Logits and the codec's trace."""
        logits, trace = self.codec.forward(
            inputs["image"],
            inputs["quality"],
            inputs["noise"],
            training=training,
            told=inputs["told"],
            state=inputs["state"],
        )
        return {"logits": logits, "trace": trace}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """All of L."""
        loss = self.codec.purpose.loss(y, y_pred["logits"], x.get("answer"), self.share, self.temperature)
        context = StageContext(
            images=x["image"],
            labels=y,
            quality=x["quality"],
            noise=x["noise"],
            features=None,
            importance=None,
            decoded=None,
            logits=y_pred["logits"],
            trace=y_pred["trace"],
        )
        own = self.codec.stage_loss(self.name, context)
        return loss if own is None else loss + own


class PolishStage(keras.Model):
    """Numbers of the int8 device to logits or maps; inputs {codes, quality, told, state, noise, answer},
    ``y``: targets.

    Encoder and projection are fixed; the decoder learns what the device really sends.
    """

    def __init__(self, codec: Any, share: float, temperature: float, *, name: str = "polish") -> None:
        super().__init__(name=name)
        self.codec, self.share, self.temperature = codec, share, temperature

    def build(self, input_shape: Any) -> None:
        """The parts are built already."""
        del input_shape

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits (B, classes)."""
        received = self.codec.link.resent(inputs["codes"], inputs["quality"], inputs["noise"])
        return self.codec.answer(received, inputs["told"], inputs["state"], training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Labels and teacher."""
        return self.codec.purpose.loss(y, y_pred, x.get("answer"), self.share, self.temperature)
