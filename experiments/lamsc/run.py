"""Do the experiments with segments and the LAM-SC family: what has no result yet.

    python experiments/lamsc/run.py --list                         # every job and its state
    python experiments/lamsc/run.py --only 'knowledge-*' --jobs 1
    python experiments/lamsc/run.py --epochs 1 --results DIR --work DIR   # try it out

A result is one file, experiments/results/lamsc/JOB.json; what is there is not repeated. Trained
networks and logs go to runs/lamsc; a job that was stopped goes on where it was. One task network serves all.
"""

# ruff: noqa: E402  (the import path is set first)
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from semflash.runtime.native_messages import hidden_native_messages

with hidden_native_messages():  # TensorFlow reports on oneDNN and CUDA while it is imported
    from experiments.lamsc.plan import studies

from experiments.lamsc import results
from experiments.studies.runner import Series, run
from experiments.studies.study import Study


def _do(study: Study, work: Path) -> results.Result:
    from experiments.lamsc.kinds import Bench, execute  # Keras is not loaded to list the jobs

    return execute(Bench(study, work))


def _settings(path: Path) -> dict[str, Any]:
    return results.read(path).settings


SERIES = Series(
    script=Path(__file__),
    about=__doc__ or "",
    results=ROOT / "experiments" / "results" / "lamsc",
    work=ROOT / "runs" / "lamsc",
    plan=studies,
    settings_of=_settings,
    do=_do,
)

if __name__ == "__main__":
    sys.exit(run(SERIES))
