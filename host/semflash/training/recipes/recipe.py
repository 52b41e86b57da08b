"""Recipes: everything that decides what a training run gives, as frozen dataclasses with a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from semflash.channels.ber_range import BerRange
from semflash.data.augment import Augmentation
from semflash.tasks.names import RESIDUAL

Pipeline = Literal["numpy", "tf.data"]
Precision = Literal["float32", "mixed_bfloat16"]

TF_DATA: Pipeline = "tf.data"


@dataclass(frozen=True)
class TaskRecipe:
    """How a task network is trained.

    Attributes:
        dataset: a name or path for :func:`semflash.data.registry.load_dataset`.
        epochs: Passes over the training split.
        batch: Images per step.
        peak: The highest learning rate of AdamW (linear warm-up, cosine decay).
        weight_decay: The weight decay of AdamW.
        ema_decay: of the weight average, per step.
        label_smoothing: 0..1.
        image_size: side that the images of a folder are resized to, pixels.
        pipeline: ``numpy``, or ``tf.data`` (:mod:`semflash.training.tf_batches`): parallel and ahead.
        precision: what the network computes in; weights stay float32.
        ema_every: steps between two looks of the average at the weights; more costs less for large networks.
        network: ``residual``, ``detector``, ``vit``, ``mobilenetv2``, ``resnet50``, ``keras`` or ``onnx``
            (:mod:`semflash.tasks.networks`).
        head_channels: Channels of the head of `residual` and `detector`.
        widths: Channels of their stages.
        weights: file that mobilenetv2 or resnet50 begin with; for residual a name of
            :data:`semflash.tasks.presets.STARTS` or a run's ``weights.npz``; empty: random.
        model: file of a keras network.
        split: layer or tensor whose value is sent; empty: the paper's split point of the network.
        alpha: width multiplier of mobilenetv2.
        mean: What the network takes off an image in [0, 1] first (:mod:`semflash.tasks.preprocessing`);
            empty: nothing.
        std: What it divides by then; empty: nothing.
        bgr: Whether it takes blue first.
        train_images: use only the first so many training images; None: all.
        skip_bad: leave out images of a folder that cannot be read.
        first: recipe that is trained before, in a folder of its own, and whose weights this one begins with:
            an easier data set of the same kind; empty: none. Not for networks of the user.
    """

    name: str
    dataset: str = "fashion-mnist"
    seed: int = 0
    epochs: int = 18
    batch: int = 128
    peak: float = 3e-3
    weight_decay: float = 0.05
    ema_decay: float = 0.998
    label_smoothing: float = 0.05
    augmentation: Augmentation = field(default_factory=Augmentation)
    head_channels: int = 16
    widths: tuple[int, ...] = (32, 64, 128)
    train_images: int | None = None
    network: str = RESIDUAL
    weights: str = ""
    model: str = ""
    split: str = ""
    alpha: float = 0.75
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False
    image_size: int = 32
    pipeline: Pipeline = "numpy"
    precision: Precision = "float32"
    ema_every: int = 4
    skip_bad: bool = False
    first: str = ""


@dataclass(frozen=True)
class CodecRecipe:
    """How a codec is trained on top of a task network.

    Attributes:
        dataset: See TaskRecipe.
        seed: See there.
        batch: See there.
        weight_decay: See there.
        ema_decay: See there.
        augmentation: See there.
        train_images: See there.
        skip_bad: See there.
        peak: The highest learning rate of stage 1.
        task_peak: The highest learning rate of stage 2.
        autoencoder_epochs: Epochs of stage 1.
        task_epochs: Epochs of stage 2.
        polish_epochs: Epochs of stage 2 once more from its averaged weights, with a warm restart of the
            learning rate (Loshchilov and Hutter 2016, arXiv 1608.03983); 0: none.
        polish_peak: The highest learning rate of these epochs.
        feature_weight: Weight of the features' error in the loss of stage 2.
        distillation_weight: Weight of the distillation in that loss.
        temperature: Of the distillation.
        teacher: Store of a teacher's answers to learn from, by name or directory (``semflash teach``), for
            families that need no task network; of a codec that gives boxes the run directory of a detector;
            empty: none.
        segments: Store of segments with weights (``semflash segment``), by name or directory, whose
            importance the codec learns, for families that do; empty: the exact masks of the data set.
        ber: bit error rates in training.
        family: The codec's family.
        sizes: Sizes of the codec, which override the family's defaults.
        task: recipe of the task network; empty: the one called as the data set.
        pipeline: See TaskRecipe; maps of importance need ``numpy``.
        precision: See TaskRecipe; the codec itself computes in float32.
        ema_every: See TaskRecipe.
        xai_weight: gamma, of the feature error of stage 2 weighed by the importance of the features for the
            task's loss (integrated gradients); 0: none.
        xai_code_weight: of the expected error of the received codes, weighed by the same importance; 0: none.
        xai_steps: steps of the integral, 1 or more; the paper takes 2.
        xai_kind: ``pixel``: one weight per position; ``channel``: one per channel.
        usage_weight: alpha, of the term that spreads the codes over all centres; 0: none.
        estimate_noise: sigma of the log-normal factor between the BER and what the decoder is told in
            training; 0: it is told the truth.
        int8_epochs: Epochs of a last stage that tunes decoder and tail on the codes of the quantised encoder,
            which is fixed from then on (needs TensorFlow); 0: none.
        int8_peak: The highest learning rate of this stage.
        start: weights that the codec begins with: a name of :data:`semflash.tasks.presets.STARTS`, or the
            ``weights.npz`` of a run; empty: random.
    """

    name: str
    dataset: str = "fashion-mnist"
    seed: int = 0
    family: str = "semanticnn"
    sizes: dict[str, Any] = field(default_factory=dict)
    ber: BerRange = field(default_factory=BerRange)
    autoencoder_epochs: int = 2
    task_epochs: int = 8
    polish_epochs: int = 0
    batch: int = 128
    peak: float = 3e-3
    task_peak: float = 2e-3
    polish_peak: float = 1e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    feature_weight: float = 0.1
    distillation_weight: float = 1.0
    temperature: float = 2.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    train_images: int | None = None
    xai_weight: float = 0.0
    xai_steps: int = 2
    xai_kind: Literal["pixel", "channel"] = "pixel"
    usage_weight: float = 0.0
    estimate_noise: float = 0.0
    pipeline: Pipeline = "numpy"
    precision: Precision = "float32"
    ema_every: int = 4
    task: str = ""
    int8_epochs: int = 0
    int8_peak: float = 5e-4
    skip_bad: bool = False
    xai_code_weight: float = 0.0
    teacher: str = ""
    start: str = ""
    segments: str = ""


#: The method's own terms, as the comparison runs have them (docs/experiments.md says what each is worth).
METHOD_TERMS: dict[str, Any] = {"xai_weight": 0.3, "usage_weight": 0.05, "estimate_noise": 0.5}
