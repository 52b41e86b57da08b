"""`kill -9` at every write: the disk holds the old state or the new one, a rerun succeeds, no litter."""

from __future__ import annotations

from pathlib import Path

import pytest

from kill import scenarios, segment_scenarios, teacher_scenarios
from kill.stopping import compile_stopper, run_scenarios

#: At least so many stops of an operation in CI, or all; stop_everywhere.py makes all of them.
_MOST, _MOST_TRAINING = 20, 12
_TRAINING = (
    "training, first epoch",
    "training, next epoch",
    "import, first",
    "import, overwrite",
    "data cache, first",
    "data cache, a damaged file",
    "teacher cache",
)
_LONG = "native build, first"


@pytest.fixture(scope="session")
def stopper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stopper(tmp_path_factory.mktemp("stopper"))


def test_an_operation_that_is_stopped_at_any_write_leaves_the_old_state_or_the_new_one(stopper: Path) -> None:
    every = (*scenarios.ALL, *teacher_scenarios.ALL, *segment_scenarios.ALL)
    names = [scenario.name for scenario in every if scenario.name != _LONG]
    counts = run_scenarios(names, stopper, most=_MOST, timeout_s=280)
    assert [count.name for count in counts] == names
    for count in counts:
        assert count.stopped >= min(count.writes, _MOST) > 0, count
        assert count.stopped == count.old + count.new + count.between, count


@pytest.mark.slow
def test_a_first_build_that_is_stopped_at_any_write_is_built_again(stopper: Path) -> None:
    (count,) = run_scenarios([_LONG], stopper, most=_MOST, timeout_s=280)
    assert count.stopped >= _MOST


def test_a_training_that_is_stopped_at_any_write_holds_one_epoch_and_no_mixture(stopper: Path) -> None:
    counts = run_scenarios([*_TRAINING], stopper, most=_MOST_TRAINING, timeout_s=280)
    assert all(count.stopped >= min(count.writes, _MOST_TRAINING) > 0 for count in counts)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a file written in place", "the state is"),
        ("a temporary name that is never the same", "leaves other files for ever"),
        ("a rerun that trips over what is there", "cannot be done again"),
    ],
)
def test_the_harness_sees_what_must_not_be(name: str, said: str, stopper: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        run_scenarios([name], stopper)
