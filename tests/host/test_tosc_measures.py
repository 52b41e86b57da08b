"""What the experiments measure of a TOSC codec: conditions, likeness to the teacher, deep JSCC."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.tosc import jscc  # noqa: E402
from experiments.tosc.costs import projection_bytes, same_views  # noqa: E402
from experiments.tosc.likeness import class_cosines, correlation, mean_cosine  # noqa: E402
from experiments.tosc.measuring import Condition, Measured, most_telling, noise_rng  # noqa: E402

from semflash.codecs.registry import create  # noqa: E402
from semflash.codecs.tosc.sizes import ToscSizes  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.program.stages import Graph, Modulate, Modulation, Project, Projection  # noqa: E402

SIZES: dict[str, Any] = {
    "image_shape": (16, 16, 1),
    "middle": ((4, 2), (4, 2)),
    "summary": 8,
    "latent": 4,
    "decoder_width": 8,
    "classes": 3,
}


def split() -> Split:
    """Twelve images of noise."""
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (12, 16, 16, 1), np.uint8), rng.integers(0, 3, 12).astype(np.int32))


@pytest.fixture(scope="module")
def codec() -> Any:
    """Untrained."""
    return create("tosc", SIZES)


def told(codec: Any, condition: Condition, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What encoder and decoder are given in a condition."""
    measured, seen = Measured(codec, split(), "test", 1), {}
    project, answer, carry = codec.project, codec.answer, codec.link.carry

    def projecting(maps: Any, state: Any) -> Any:
        seen["used"] = float(state[0, 0])
        return project(maps, state)

    def carrying(values: Any, quality: Any, noise: Any) -> Any:
        seen["quality"] = float(quality[0, 0])
        return carry(values, quality, noise)

    def answering(received: Any, quality: Any, state: Any) -> Any:
        seen.update(told=float(quality[0, 0]), decoder=float(state[0, 0]))
        return answer(received, quality, state)

    with monkeypatch.context() as patch:
        patch.setattr(codec, "project", projecting)
        patch.setattr(codec, "answer", answering)
        patch.setattr(codec.link, "carry", carrying)
        measured.counts(condition)
    return seen


def test_errors_reach_whom_they_are_of(codec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(codec, Condition(6.0), monkeypatch) == {"used": 4, "quality": 6, "told": 6, "decoder": 4}
    found = told(codec, Condition(6.0, told_error=-3.0), monkeypatch)
    assert found == {"used": 4, "quality": 6, "told": 3, "decoder": 4}
    found = told(codec, Condition(6.0, state_error=2), monkeypatch)
    assert found == {"used": 6, "quality": 6, "told": 6, "decoder": 6}
    found = told(codec, Condition(6.0, decoder_error=-1), monkeypatch)
    assert found == {"used": 4, "quality": 6, "told": 6, "decoder": 3}
    found = told(codec, Condition(18.0, state_error=1, decoder_error=1), monkeypatch)
    assert found == {"used": 7, "quality": 18, "told": 18, "decoder": 7}  # there is no class above the last


def test_rows_say_what_was_measured(codec: Any) -> None:
    measured = Measured(codec, split(), "test", 3)
    found = measured.row(Condition(6.0), with_images=True)
    assert (found.split, found.channel, found.images, found.repeats) == ("test", "awgn", 12, 3)
    assert found.counts().tolist() == measured.counts(Condition(6.0)).tolist()
    assert found.accuracy == pytest.approx(found.counts().sum() / 36)
    nothing = measured.row(Condition(6.0), kept=np.zeros((1, 1, 4), bool))
    assert nothing.kept == 0 and nothing.right == ""
    two = measured.row(Condition(6.0), kept=most_telling(np.array([[[0.1, 0.4, 0.3, 0.2]]]), 2))
    assert two.kept == 2


def test_without_noise_the_channel_changes_nothing_and_images_are_right_always_or_never(codec: Any) -> None:
    counts = Measured(codec, split(), "test", 3).counts(Condition(100.0))
    assert set(counts.tolist()) <= {0, 3}


def test_bits_are_measured_at_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = create("tosc", SIZES | {"channel": "bits"})
    seen = told(bits, Condition(1e-2, state_error=1), monkeypatch)
    assert seen == pytest.approx({"used": 6, "quality": 1e-2, "told": 1e-2, "decoder": 6})
    clean, damaged = (Measured(bits, split(), "val", 3).row(Condition(rate)) for rate in (0.0, 0.5))
    assert (clean.channel, clean.split, damaged.level) == ("bsc", "val", 0.5)
    assert set(Measured(bits, split(), "val", 3).counts(Condition(0.0)).tolist()) <= {0, 3}


def test_noise_depends_on_the_level_alone() -> None:
    one, again, other = (noise_rng(level).random(5) for level in (-6.0, -6.0, 1e-4))
    assert one.tolist() == again.tolist() != other.tolist()
    assert noise_rng(1e-4).random(5).tolist() != noise_rng(2.5e-3).random(5).tolist()


def test_tables_of_all_states_are_counted() -> None:
    projection = Projection([1] * 12, [0] * 4, [1] * 4, [0] * 4)
    modulation = Modulation([1] * 3, [0] * 3, 8)
    stages = [
        Graph("encoder", ("image",), ("map",)),
        Modulate("map", "modulated", (modulation,) * 8, "state"),
        Project("modulated", "projected", (projection,)),
    ]
    assert projection_bytes(stages) == 8 * (3 * 2 + 3 * 4 + 1) + 12 + 4 * (4 + 4 + 1)


class Answers:
    """Answers of three classes to two views of each of twelve images, none of them a mixture."""

    views = 2

    def __init__(self, away: float = 0.0) -> None:
        scores = np.random.default_rng(3).normal(size=(12, 2, 3))
        scores[4, 1, 2] += away
        self.table = scores - np.log(np.exp(scores).sum(-1, keepdims=True))

    def logits(self, indices: np.ndarray, views: np.ndarray) -> np.ndarray:
        return self.table[indices, views].astype(np.float32)

    def mixture(self, indices: np.ndarray, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return indices, np.ones(len(indices), np.float32)

    def view_images(
        self, images: np.ndarray, indices: np.ndarray, views: np.ndarray, others: np.ndarray
    ) -> np.ndarray:
        return images


def test_stored_and_live_answers_to_the_same_views_are_compared(codec: Any) -> None:
    data = Dataset("noise", split(), split(), split(), ("a", "b", "c"))
    same = same_views(codec, data, Answers(), Answers())
    assert same["loss_stored"] == same["loss_live"] > 0 and same["largest_difference"] == 0
    apart = same_views(codec, data, Answers(), Answers(away=2.0))
    assert apart["loss_stored"] == same["loss_stored"] != apart["loss_live"]
    moved = np.abs(np.exp(Answers().table) - np.exp(Answers(away=2.0).table)).max()
    assert apart["largest_difference"] == pytest.approx(moved, rel=1e-5)


def test_likeness_by_hand() -> None:
    one = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 4.0]])
    assert mean_cosine(one, 5.0 * one + 2.0) == pytest.approx(1.0)
    assert mean_cosine(one, -one) == pytest.approx(-1.0)
    assert mean_cosine(one, np.ones_like(one)) == 0.0
    labels = np.array([0, 0, 1, 2])
    values = np.array([[2.0, 0.0], [4.0, 0.0], [-3.0, 3.0], [0.0, -3.0]])
    found = class_cosines(values, labels, 3)
    assert np.diag(found) == pytest.approx(1.0)
    a, b = np.array([3.0, 0.0]), np.array([-3.0, 3.0])
    assert found[0, 1] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert correlation(found, found) == pytest.approx(1.0)
    assert correlation(found, -found) == pytest.approx(-1.0)


def test_pictures_of_deep_jscc_and_their_loss() -> None:
    sizes = ToscSizes.from_dict(SIZES | {"bottleneck": 0.0})
    codec = jscc.PictureCodec(sizes)
    ((inputs, labels),) = jscc.inputs_of(codec, split(), 6.0, noise_rng(6.0))
    pictures = np.asarray(codec(inputs))
    assert pictures.shape == (12, 16, 16, 1) and 0 <= pictures.min() <= pictures.max() <= 1
    loss = float(codec.compute_loss(x=inputs, y=labels, y_pred=pictures))
    assert loss == pytest.approx(np.square(pictures - inputs["image"]).mean(), rel=1e-5)
    assert not any(v is w for v in codec.trainable_variables for w in codec.tosc.edge.weights)
    reader = jscc.Reader(codec, 3)
    assert np.asarray(reader(inputs)).shape == (12, 3)
    assert float(jscc.share(reader, split(), 6.0)) in np.arange(13) / 12
