"""One answer of a teacher, compressed: the largest logits, and one number for the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fakes.teachers import manifest_of, small_data
from semflash.errors import TeacherError
from semflash.teachers.answers import FLOOR, compress, expand, log_softmax
from semflash.teachers.writing import StoreWriter, locked

DATA = small_data()


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(2, 400)), elements=st.floats(-200, 200, width=32)
    ),
    st.data(),
)
def test_what_is_kept_and_the_rest_sum_to_1_within_a_thousandth(
    logits: np.ndarray, draw: st.DataObject
) -> None:
    classes = logits.shape[1]
    kept = draw.draw(st.integers(1, min(classes, 10)))
    answers = compress(logits, kept)
    total = np.exp(answers.logit.astype(np.float64)).sum(axis=1) + np.exp(answers.rest.astype(np.float64))
    assert np.abs(total - 1).max() < 1e-3
    again = expand(answers, classes)
    assert again.dtype == np.float32 and again.shape == logits.shape
    assert np.abs(np.exp(again.astype(np.float64)).sum(axis=1) - 1).max() < 1e-3
    expected = np.exp(log_softmax(logits))
    order = np.argsort(-logits, axis=1, kind="stable")[:, :kept]
    assert (answers.index == order).all()
    held = np.take_along_axis(np.exp(again.astype(np.float64)), order, axis=1)
    assert np.abs(held - np.take_along_axis(expected, order, axis=1)).max() < 1e-3


def test_the_rest_is_shared_evenly() -> None:
    logits = np.log(np.array([[0.5, 0.05, 0.3, 0.1, 0.05]]))
    answers = compress(logits, 2)
    assert answers.index.tolist() == [[0, 2]]
    assert np.allclose(np.exp(expand(answers, 5)), [[0.5, 0.2 / 3, 0.3, 0.2 / 3, 0.2 / 3]], atol=3e-4)


def test_all_logits_kept_leave_no_rest() -> None:
    logits = np.array([[3.0, -1.0, 0.5]])
    answers = compress(logits, 3)
    assert answers.rest.tolist() == [np.float16(FLOOR)]
    assert np.abs(expand(answers, 3) - log_softmax(logits)).max() < 2e-3


def test_a_hopeless_class_stays_a_number() -> None:
    answers = compress(np.array([[0.0, -3e38]], np.float32), 2)
    assert np.isfinite(answers.logit).all() and np.isfinite(expand(answers, 2)).all()


@pytest.mark.parametrize(("classes", "kind", "size"), [(256, "u1", 1), (257, "<u2", 2), (40_000, "<u2", 2)])
def test_class_numbers_take_one_byte_up_to_256_classes(classes: int, kind: str, size: int) -> None:
    logits = np.zeros((1, classes), np.float32)
    logits[0, classes - 1] = 5
    answers = compress(logits, 3)
    assert answers.index.dtype == np.dtype(kind) and answers.index.itemsize == size
    assert answers.index[0, 0] == classes - 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_no_number_is_refused(bad: float, tmp_path: Path) -> None:
    logits = np.zeros((16, 12), np.float32)
    logits[7, 3] = bad
    with pytest.raises(TeacherError, match="no number") as caught:
        compress(logits, 5)
    assert "image 7" in str(caught.value.value)
    with locked(tmp_path / "s"):
        writer = StoreWriter(tmp_path / "s", manifest_of(DATA), DATA)
        with pytest.raises(TeacherError, match="no number"):
            writer.write(0, 0, logits)
        assert len(writer.left()) == 3 * 4, "the block does not count as done"


@pytest.mark.parametrize("kept", [0, 13, -1])
def test_more_logits_than_classes_cannot_be_kept(kept: int) -> None:
    with pytest.raises(TeacherError, match="1 to 12"):
        compress(np.zeros((1, 12)), kept)
