"""Do the experiments with TOSC: what has no result yet.

    python experiments/tosc/run.py --list                         # every job and its state
    python experiments/tosc/run.py --only 'stamps-*' --jobs 2
    python experiments/tosc/run.py --epochs 2 --results DIR --work DIR   # try it out

Teachers are asked first: semflash teach stamps --teacher lite0; semflash teach fashion-mnist --teacher
ensemble:3. A result is one file, experiments/results/tosc/JOB.json; what is there is not repeated. Trained
codecs and logs go to runs/tosc; a job that was stopped goes on from its last epoch. Results of other
settings than the plan has now are reported as stale (--redo-stale does them again).
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
    from experiments.tosc.plan import studies

from experiments.studies.runner import Series, run
from experiments.studies.study import Study
from experiments.tosc import results


def _do(study: Study, work: Path) -> results.Result:
    from experiments.tosc.kinds import Bench, execute  # Keras is not loaded to list the jobs

    return execute(Bench(study, work))


def _settings(path: Path) -> dict[str, Any]:
    return results.read(path).settings


SERIES = Series(
    script=Path(__file__),
    about=__doc__ or "",
    results=ROOT / "experiments" / "results" / "tosc",
    work=ROOT / "runs" / "tosc",
    plan=studies,
    settings_of=_settings,
    do=_do,
)

if __name__ == "__main__":
    sys.exit(run(SERIES))
