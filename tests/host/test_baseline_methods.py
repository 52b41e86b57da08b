"""Methods of the comparison: classical ones built and tuned, learned ones adapted, all measured alike."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("PIL")

from semflash.baselines.accuracy import FRAMINGS, accuracy_under  # noqa: E402
from semflash.baselines.base import Method, erased_symbols, prior_logits  # noqa: E402
from semflash.baselines.catalogue import (  # noqa: E402
    METHODS,
    SEARCH_BERS,
    TRIALS,
    Budget,
    Job,
    method_spec,
    search_score,
)
from semflash.channels.payloads import Channel  # noqa: E402
from semflash.codecs.registry import create  # noqa: E402
from semflash.data.dataset import Dataset, Split  # noqa: E402
from semflash.errors import DatasetError, UsageError  # noqa: E402
from semflash.tasks.residual import build_head, build_tail  # noqa: E402
from semflash.training.models import TrainedCodec, accuracy_of_codes  # noqa: E402
from semflash.training.progress import Progress  # noqa: E402
from semflash.training.run_dir import RunInfo  # noqa: E402
from semflash.training.task import TrainedTask  # noqa: E402

CLASSES = 3
LEARNED = [name for name, spec in METHODS.items() if spec.kind == "learned"]


def split(count: int, seed: int) -> Split:
    """Bars whose place is the class, with some noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    images = rng.integers(0, 8, (count, 28, 28, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 9 * label + 2 : 9 * label + 8] += 200
    return Split(images, labels)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset("bars", split(128, 0), split(120, 1), split(120, 2), tuple("abc"))


@pytest.fixture(scope="module")
def task(data: Dataset) -> TrainedTask:
    keras.utils.set_random_seed(0)
    head = build_head((28, 28, 1), 4)
    tail = build_tail(head.output_shape[1:], CLASSES, (8,))
    network = keras.Sequential([head, tail])
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.optimizer.learning_rate = 0.01
    network.fit(data.train.images / np.float32(255), data.train.labels, batch_size=16, epochs=10, verbose=0)
    return TrainedTask(head, tail, RunInfo.start("task", {"widths": [8]}, data, 0))


@pytest.fixture
def job(task: TrainedTask, data: Dataset, tmp_path: Path) -> Job:
    return Job(task, data, 48, tmp_path / "run", Budget(128, 2, 0, flip=0.0), Progress(quiet=True))


def learned(name: str, job: Job) -> tuple[Method, TrainedCodec]:
    """The method on an untrained codec of the recipe's structure."""
    recipe = METHODS[name].trial_recipe(job.size_bytes)
    keras.utils.set_random_seed(5)
    sizes = recipe.sizes | {"feature_shape": (14, 14, 4), "decoder_width": 8}
    sizes |= {"classes": CLASSES} if recipe.family == "agilenn" else {}
    codec = create(recipe.family, sizes)
    info = RunInfo.start("codec", {"family": recipe.family}, job.data, 0)
    trained = TrainedCodec(codec, build_tail((14, 14, 4), CLASSES, (8,)), info)
    return METHODS[name].method(job, trained=trained), trained


def test_every_method_gets_the_same_number_of_trials_and_they_differ():
    for spec in METHODS.values():
        assert len(spec.trials) == TRIALS, spec.name
        assert len({repr(trial) for trial in spec.trials}) == TRIALS, spec.name


def test_every_method_may_try_a_higher_learning_rate(job: Job, monkeypatch: pytest.MonkeyPatch):
    for spec in METHODS.values():
        name = "task_peak" if spec.kind == "learned" else "peak"
        assert any(trial.get(name) == 3e-3 for trial in spec.trials), spec.name
    peaks: list[float] = []
    monkeypatch.setattr(
        "semflash.baselines.tuning.run_stages", lambda stages, *_, **__: peaks.append(stages[0].peak)
    )
    for trial in (0, 3):
        METHODS["uniform"].method(job, trial)
    assert peaks == [1e-3, 3e-3]


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("size", [24, 48])
def test_every_learned_trial_fits_the_bytes_and_the_epochs(name: str, size: int):
    for trial in range(TRIALS):
        recipe = METHODS[name].trial_recipe(size, trial, seed=7)
        assert recipe.autoencoder_epochs + recipe.task_epochs == 5 and recipe.seed == 7
        assert recipe.train_images == 20_000
        codec = create(recipe.family, recipe.sizes)
        assert size - 6 < codec.payload_bytes <= size
        assert (recipe.autoencoder_epochs > 0) == (len(codec.stages()) == 2)


@pytest.mark.parametrize(("name", "trial"), [("jpeg-delivered", 1), ("webp", 2), ("uniform", 1)])
def test_a_classical_method_does_its_task_within_its_bytes(name: str, trial: int, job: Job):
    method, data = METHODS[name].method(job, trial), job.data
    payloads = method.encode(data.test.images)
    assert max(map(len, payloads)) <= job.size_bytes
    clean = accuracy_under(method, data.test.images, data.test.labels, Channel("bsc", 0.0), 0)
    assert clean["accuracy"] > 0.8 and clean["undecodable"] == 0 and clean["transmissions"] == 1
    noisy = accuracy_under(
        method, data.test.images, data.test.labels, Channel("bsc", 0.05), 0, framing=FRAMINGS["drop"]
    )
    assert noisy["undecodable"] > 100 and noisy["accuracy"] < 0.6


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_method_survives_any_channel(name: str, job: Job):
    method, _ = learned(name, job)
    images, labels = job.data.test.images[:20], job.data.test.labels[:20]
    for channel in (Channel("bsc", 0.5), Channel("gilbert-elliott", 0.1), Channel("frame-loss", 0.5)):
        result = accuracy_under(method, images, labels, channel, 0)
        assert result["images"] == 20 and 0 < result["mean_bytes"] <= 48
    lost = accuracy_under(method, images, labels, Channel("frame-loss", 1.0), 0)
    assert lost["undecodable"] == 20
    prior = prior_logits(job.data.train.labels, CLASSES).argmax()
    assert lost["accuracy"] == (labels == prior).mean()


def test_a_learned_method_is_as_accurate_as_its_codec(job: Job):
    method, trained = learned("semanticnn", job)
    split, codes = job.data.test, trained.codec.codes(job.data.test.images.astype(np.float32) / 255)
    codes = keras.ops.convert_to_numpy(codes)
    expected = accuracy_of_codes(trained.codec, trained.tail, codes, split.labels, 0.0, seed=0)
    found = accuracy_under(method, split.images, split.labels, Channel("bsc", 0.0), 0)
    assert found["accuracy"] == pytest.approx(expected) and found["mean_bytes"] == 48


def test_entropy_coding_changes_the_bytes_and_nothing_else(job: Job):
    plain, trained = learned("entropy-coded", job)
    from semflash.baselines.learned import LearnedMethod

    uncoded = LearnedMethod(trained, job.prior, name="x", title="x", citation="x")
    images = job.data.test.images
    streams = plain.encode(images)
    assert np.mean([len(stream) for stream in streams]) < 48
    np.testing.assert_allclose(
        plain.logits(streams, 0.0), uncoded.logits(uncoded.encode(images), 0.0), atol=1e-5
    )
    assert plain.logits([b"", b"\xff" * 90, b"\0"], 0.0).shape == (3, CLASSES)


def test_what_the_receiver_believes_can_differ_from_the_channel(job: Job):
    told: list[float] = []

    class Listening(Method):
        name = title = citation = "x"
        settings: ClassVar[dict] = {}

        def encode(self, images):
            return [b"a"] * len(images)

        def logits(self, payloads, ber, erased=None):
            told.append(ber)
            return np.zeros((len(payloads), CLASSES), np.float32)

    images, labels = job.data.test.images, job.data.test.labels
    accuracy_under(Listening(), images, labels, Channel("bsc", 0.01), 0)
    accuracy_under(Listening(), images, labels, Channel("bsc", 0.01), 0, told=0.1)
    accuracy_under(Listening(), images, labels, Channel("frame-loss", 0.3), 0)
    for framing in ("drop", "retransmit"):  # what gets through there is known to be clean
        accuracy_under(Listening(), images, labels, Channel("bsc", 0.01), 0, framing=FRAMINGS[framing])
    assert told == [0.01, 0.1, 0.0, 0.0, 0.0]
    with pytest.raises(DatasetError):
        accuracy_under(Listening(), images, labels[:3], Channel("bsc", 0.01), 0)


def test_a_symbol_across_two_bytes_is_lost_with_either():
    masks = [np.array([True, False, False]), np.array([False, True, False]), np.zeros(3, np.bool_)]
    gone = erased_symbols(masks, 3, 8, 3)
    assert gone is not None
    assert gone[0].tolist() == [True] * 3 + [False] * 5
    assert gone[1].tolist() == [False, False, True, True, True, True, False, False]
    assert not gone[2].any()


def test_the_search_looks_at_clean_and_damaged_payloads_and_names_are_checked(job: Job):
    assert search_score(dict(zip(SEARCH_BERS, (0.9, 0.6, 0.3), strict=True))) == pytest.approx(0.6)
    with pytest.raises(UsageError, match="no such method"):
        method_spec("h264")
    with pytest.raises(UsageError, match="trained codec"):
        method_spec("deepcod").method(job)
    with pytest.raises(UsageError, match="no such trial"):
        method_spec("jpeg").method(job, TRIALS)
    with pytest.raises(UsageError, match="multiple of 6"):
        method_spec("semanticnn").trial_recipe(25)
