"""An anchor-free one-stage detector as a task: CenterNet (Zhou et al. 2019, arXiv 1904.07850), section 3.

    features (H/2, W/2, c) at the split, as in :mod:`semflash.tasks.residual`
      | residual block w0, stride 2      H/4, the cells of the maps
      | residual block w1, stride 2      H/8
      | residual block w2, stride 2      H/16
      | upwards: 1x1 convolution, nearest x2, added to the block before; twice
      | Conv 3x3 w0, BatchNorm, ReLU; Conv 1x1
    maps (H/4, W/4, classes + 4)         see :mod:`semflash.outputs.detections`

Deviations: the size is learnt as the logarithm of cells (the paper: pixels), so that its L1 error is relative
and the size positive; a feature pyramid (Lin et al. 2017, arXiv 1612.03144) in place of deconvolutions; the
overlap that sets a centre's Gaussian is counted with the smaller side alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from semflash.data.augment import Moves
from semflash.data.dataset import Dataset
from semflash.errors import DatasetError, TrainingError
from semflash.outputs.average_precision import mean_average_precision
from semflash.outputs.boxes import BOTTOM, CLASS, IGNORED, LEFT, RIGHT, TOP, mirror, present, shift
from semflash.outputs.detections import GEOMETRY, decode_maps
from semflash.outputs.kinds import DetectionTask, Task
from semflash.tasks.kinds import TaskKind
from semflash.tasks.names import MAPS
from semflash.tasks.residual import convolution, residual_block

#: Logit of the prior that a cell is a centre: 0.1, as in the paper.
PRIOR_LOGIT = -2.19
ALPHA, BETA = 2, 4
SIZE_WEIGHT, OFFSET_WEIGHT = 0.5, 1.0
#: A shifted box of this overlap still counts as right; it sets the Gaussian around a centre.
MIN_OVERLAP = 0.7
PEAK_WINDOW = 3
SCORE_MIN = 0.05
OBJECTS_MAX = 20


def build_detector_tail(
    feature_shape: tuple[int, int, int], classes: int, widths: tuple[int, ...]
) -> keras.Model:
    """Tail: features (B, h, w, c) to maps (B, h/2, w/2, classes + 4); h and w are multiples of 8.

    Raises:
        TrainingError: other than three widths, or features that cannot be halved three times.
    """
    if len(widths) != 3 or feature_shape[0] % 8 or feature_shape[1] % 8:
        raise TrainingError(
            "a detector needs three widths and features whose sides are multiples of 8",
            value=f"widths {widths}, features {feature_shape}",
            remedy="images with sides that are multiples of 16",
        )
    features = keras.Input(feature_shape, name="features")
    levels, x = [], features
    for width in widths:
        x = residual_block(x, width, stride=2)
        levels.append(x)
    for level, width in zip(levels[-2::-1], widths[-2::-1], strict=True):
        up = layers.UpSampling2D(2, interpolation="nearest")(layers.Conv2D(width, 1)(x))
        x = layers.Add()([up, level])
    x = convolution(x, widths[0])
    heat = layers.Conv2D(classes, 1, bias_initializer=keras.initializers.Constant(PRIOR_LOGIT), name="heat")(
        x
    )
    geometry = layers.Conv2D(GEOMETRY, 1, name="geometry")(x)
    return keras.Model(features, layers.Concatenate(name=MAPS)([heat, geometry]), name="tail")


@dataclass(frozen=True)
class Detection(TaskKind):
    """Objects with their boxes; focal loss and L1; mAP at IoU 0.5.

    Attributes:
        height: Rows of the maps, in cells.
        width: Columns of the maps, in cells.
        stride: Pixels per cell.
        classes: How many.
    """

    height: int
    width: int
    stride: int
    classes: int

    name, metric = "detection", "map50"

    @classmethod
    def of_maps(cls, maps_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> Detection:
        """For maps (h, w, classes + 4) of images (H, W, C). TrainingError: the cells are not square."""
        height, width, values = maps_shape if len(maps_shape) == 3 else (1, 1, 0)
        stride = image_shape[0] // height
        if (height * stride, width * stride) != tuple(image_shape[:2]) or values <= GEOMETRY:
            raise TrainingError(
                "the task network's output is neither logits nor the maps of a detector", value=maps_shape
            )
        return cls(height, width, stride, values - GEOMETRY)

    def targets(self, labels: np.ndarray, moves: Moves, image_size: tuple[int, int]) -> np.ndarray:
        """Maps float32 (B, h, w, classes + 5), see :func:`target_maps`; boxes move with their images."""
        moved = np.where(moves.mirrored[:, None, None], mirror(labels, image_size[1]), labels)
        return target_maps(shift(moved, moves.right, moves.down, image_size), self)

    def loss(self, targets: Any, outputs: Any, label_smoothing: float = 0.0) -> Any:
        """Focal loss of the centres (section 3) + 0.5 x L1 of the log size + L1 of the offset, per object."""
        del label_smoothing
        return ops.sum(self._summed(targets, outputs)) / _objects(targets)

    def per_image_loss(self, targets: Any, outputs: Any) -> Any:
        """The same sum for each image, over the objects of an average image of the batch."""
        images = ops.cast(ops.shape(targets)[0], outputs.dtype)
        return self._summed(targets, outputs) * images / _objects(targets)

    def _summed(self, targets: Any, outputs: Any) -> Any:
        """Loss summed over the cells of each image, float (B,)."""
        heat, target = outputs[..., : self.classes], targets[..., : self.classes]
        log_hit, log_miss = ops.log_sigmoid(heat), ops.log_sigmoid(-heat)
        hit = ops.exp(log_hit)
        centre = ops.cast(ops.equal(target, 1.0), heat.dtype)
        near = ops.power(1.0 - target, BETA)
        focal = centre * ops.power(1.0 - hit, ALPHA) * log_hit
        focal += (1.0 - centre) * near * ops.power(hit, ALPHA) * log_miss
        error = targets[..., -1:] * ops.abs(outputs[..., self.classes :] - targets[..., self.classes : -1])
        size, offset = (ops.sum(part, axis=(1, 2, 3)) for part in (error[..., :2], error[..., 2:]))
        return SIZE_WEIGHT * size + OFFSET_WEIGHT * offset - ops.sum(focal, axis=(1, 2, 3))

    def distillation(self, targets: Any, student: Any, teacher: Any, temperature: float) -> Any:
        """KL divergence of the cells' centre probabilities at a temperature, times its square, per object."""
        ours, theirs = (maps[..., : self.classes] / temperature for maps in (student, teacher))
        hit = ops.sigmoid(theirs)
        divergence = hit * (ops.log_sigmoid(theirs) - ops.log_sigmoid(ours))
        divergence += (1.0 - hit) * (ops.log_sigmoid(-theirs) - ops.log_sigmoid(-ours))
        return ops.sum(divergence) / _objects(targets) * temperature**2

    def score(self, labels: np.ndarray, outputs: np.ndarray) -> float:
        """mAP at IoU 0.5."""
        found = decode_maps(np.asarray(outputs), self.task, self.classes)
        return mean_average_precision(labels, found, self.classes)

    @property
    def task(self) -> DetectionTask:
        """With the grid and the decoding parameters."""
        return DetectionTask(self.height, self.width, self.stride, PEAK_WINDOW, SCORE_MIN, OBJECTS_MAX)

    def contract_task(self) -> Task:
        """The same, for a bundle."""
        return self.task

    def check(self, data: Dataset) -> None:
        """Boxes, and as many classes as the maps have."""
        if not data.has_boxes or len(data.class_names) != self.classes:
            raise DatasetError(
                "a detector needs a data set with boxes",
                value=data.name,
                remedy="use stamps-scenes, or a COCO or VOC folder",
            )


def _objects(targets: Any) -> Any:
    """How many centres a batch of targets has, at least 1."""
    return ops.maximum(ops.sum(targets[..., -1]), 1.0)


def target_maps(boxes: np.ndarray, kind: Detection) -> np.ndarray:
    """What the maps should be for boxes (B, M, 6): float32 (B, h, w, classes + 5).

    Per class 1 at the centre's cell and a Gaussian around it; log width, log height, x and y in the centre's
    cell; last 1 where there is a centre. Two centres in one cell: the later box gives the geometry.
    """
    grid, classes = (kind.height, kind.width), kind.classes
    maps = np.zeros((len(boxes), *grid, classes + GEOMETRY + 1), np.float32)
    rows, columns = np.arange(grid[0])[:, None], np.arange(grid[1])[None]
    for image, index in np.argwhere(present(boxes) & (boxes[..., IGNORED] != 1)):
        box = boxes[image, index] / np.float32(kind.stride)
        label = int(boxes[image, index, CLASS])
        centre = np.array([box[LEFT] + box[RIGHT], box[TOP] + box[BOTTOM]]) / 2
        sides = np.maximum([box[RIGHT] - box[LEFT], box[BOTTOM] - box[TOP]], 1e-3)
        column, row = (min(int(c), most - 1) for c, most in zip(centre, grid[::-1], strict=True))
        sigma = gaussian_sigma(float(sides.min()))
        near = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        np.maximum(maps[image, ..., label], near, out=maps[image, ..., label])
        maps[image, row, column, classes:] = (*np.log(sides), *(centre - (column, row)), 1.0)
    return maps


def gaussian_sigma(side: float) -> float:
    """Spread of a centre's Gaussian in cells, for an object with this smaller side, in cells.

    The shift r along that side that leaves an IoU of 0.7, then (2 r + 1) / 6 as in the paper's released code.
    """
    shift_cells = side * (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP)
    return (2 * shift_cells + 1) / 6
