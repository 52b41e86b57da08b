"""What the experiments' runner takes for done, trains and keeps apart; nothing is trained here."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("keras")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments import int8, work  # noqa: E402
from experiments import run as runner  # noqa: E402
from experiments.plan import Run, expand, read_experiments, read_shared  # noqa: E402
from experiments.resolve import resolve, trial_counts  # noqa: E402

from fakes.results import result  # noqa: E402
from semflash.errors import TrainingError  # noqa: E402
from semflash.report.results import ResultStore  # noqa: E402
from semflash.training.recipes.catalogue import codec_recipe, task_recipe  # noqa: E402


@pytest.fixture(scope="module")
def plan() -> list[Run]:
    return expand(read_experiments(), read_shared(), trial_counts())


def find(plan: list[Run], name: str) -> Run:
    return next(run for run in plan if run.name == name)


class _Codec:
    """What a run directory of a codec holds, as far as the experiments look."""

    def __init__(self, folder: Path, weights: bytes, widths: list[int]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "weights.npz").write_bytes(weights)
        recipe = json.loads(json.dumps(dataclasses.asdict(RECIPE)))
        task = json.loads(json.dumps(dataclasses.asdict(task_recipe("fashion-mnist")))) | {"widths": widths}
        info = {
            "kind": "codec",
            "recipe": recipe | {"task_recipe": task},
            "dataset": "fashion-mnist",
            "class_names": [],
            "image_shape": [28, 28, 1],
            "seed": 0,
            "versions": {},
            "results": {"val_accuracy": {}},
        }
        (folder / "run.json").write_text(json.dumps(info))


RECIPE = codec_recipe("fashion-mnist-48")


def test_a_codec_given_by_hand_must_stand_on_the_wanted_task_network(
    plan: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "load_run", lambda folder: folder)
    run, shared = find(plan, "ber/semanticnn-48-full-s0"), read_shared()
    resolved = dataclasses.replace(resolve(run, plan, shared, ResultStore(tmp_path)), recipe=RECIPE)
    right = _Codec(tmp_path / "right", b"1", [32, 64, 128])
    other = _Codec(tmp_path / "other", b"1", [16, 32, 64])
    worker = work.Worker(shared, work.Places(tmp_path / "work", trained=(right.folder,)))
    assert worker.codec(run, resolved) == (right.folder, right.folder)
    worker = work.Worker(shared, work.Places(tmp_path / "work", trained=(other.folder,)))
    with pytest.raises(TrainingError, match="another task network: its widths"):
        worker.codec(run, resolved)


def test_codecs_of_one_folder_name_are_exported_to_bundles_of_their_own(
    plan: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []

    def export(codec: Path, out: Path, **_: Any) -> None:
        out.mkdir()
        exported.append(out)

    bundle = SimpleNamespace(record=SimpleNamespace(proof=None, macs=1, arena_bytes=1), hash_hex="")
    monkeypatch.setattr(int8, "export", export)
    monkeypatch.setattr(int8, "read_bundle", lambda path: bundle)
    run = dataclasses.replace(find(plan, "int8/semanticnn-48-s0"), measures=())
    codecs = [_Codec(tmp_path / name / "codec", name.encode(), [32]) for name in ("one", "two")]
    for one in (*codecs, codecs[0]):
        int8.int8_rows(one.folder, tmp_path, None, run, None)
    assert len(exported) == 2 and len(set(exported)) == 2


def test_what_is_done_trains_nothing_and_what_waits_for_something_not_asked_for_is_said(
    plan: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, one = ResultStore(tmp_path / "results"), find(plan, "ablations/semanticnn-48-no-xai-s0")
    settings = resolve(one, plan, read_shared(), store).settings
    store.put(result("semanticnn", {0.0: 0.9}, experiment=one.experiment, run=one.id, settings=settings))
    trained: list[str] = []
    monkeypatch.setattr(work.Worker, "task", lambda self, name: trained.append(name))
    places = ["--results", str(store.root), "--work", str(tmp_path / "work")]
    assert runner.main(["--only", one.name, *places]) == 0
    assert trained == []
    assert runner.main(["--only", "ber/deepcod-48-s0", *places]) == 1
    assert set(trained) == {"fashion-mnist-small"}
    assert (
        "still waiting: ber/deepcod-48-s0   (needs trial 0 of the search for deepcod)"
        in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        runner.main(["--task", "somewhere", *places])
    assert "'somewhere' is not NAME=DIR" in capsys.readouterr().err
