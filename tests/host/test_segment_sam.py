"""Segment Anything and saliency networks in files: tiny ONNX files of the same names and shapes."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL.Image")

from onnx import helper

from fakes.sam_pair import SIDE, encoder, model, pair, value
from semflash.errors import SegmentError, UsageError
from semflash.segments.opening import SegmenterOptions, plan_of
from semflash.segments.sam import grid, kept, laid


def squares(side: int = SIDE, channels: int = 3) -> np.ndarray:
    """Grey 50; a square of 120 a quarter of the area, and within it one of 200."""
    image = np.full((side, side, channels), 50, np.uint8)
    image[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 120
    image[3 * side // 8 : 5 * side // 8, 3 * side // 8 : 5 * side // 8] = 200
    return image


def options(files: tuple[Path, ...], side: int = 0) -> SegmenterOptions:
    return SegmenterOptions(files, side)


# Segment Anything


@pytest.mark.parametrize(("kind", "side"), [("square", 0), ("plain", SIDE), ("batched", SIDE)])
def test_every_export_of_sam_finds_what_lies_on_the_grid(tmp_path: Path, kind: str, side: int) -> None:
    plan = plan_of("sam", options(pair(tmp_path, kind), side))
    assert plan.record.name == f"sam:{kind}-encoder.onnx" and not plan.record.classical
    with plan.start() as segmenter:
        found = segmenter.segment(squares())
        grey = segmenter.segment(squares(channels=1))
    expected = np.select([squares()[..., 0] == 50, squares()[..., 0] == 120], [1, 2], 3)
    assert np.array_equal(found, expected) and np.array_equal(grey, expected)


def test_a_smaller_image_is_enlarged_and_what_no_mask_covers_is_segment_0(tmp_path: Path) -> None:
    with plan_of("sam", options(pair(tmp_path, "square"))).start() as segmenter:
        found = segmenter.segment(squares(16))
        wide = segmenter.segment(np.ascontiguousarray(squares(16)[4:12]))
        dot = segmenter.segment(np.full((1, 1, 3), 9, np.uint8))
    assert found.shape == (16, 16) and found[0, 0] == 1 and found[7, 7] == found[8, 8]
    assert len({int(found[y, 8]) for y in (1, 5, 8)}) == 3
    assert wide.shape == (8, 16) and wide[4, 1] == 1 and wide[4, 8] not in (0, 1)
    assert dot.tolist() == [[1]]


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    first, second = pair(tmp_path, "square")
    for files, words in (((second, first), "encoder takes one"), ((first, first), "decoder lacks inputs")):
        plan = plan_of("sam", options(files))
        with pytest.raises(SegmentError, match=words), plan.start():
            pass
    with (
        pytest.raises(SegmentError, match="another side"),
        plan_of("sam", options((first, second), 32)).start(),
    ):
        pass
    with pytest.raises(SegmentError, match="cannot read"):
        plan_of("sam", options((first, tmp_path / "gone.onnx")))
    with pytest.raises(UsageError, match="--encoder"):
        plan_of("sam", options((first,)))


def test_other_files_are_another_segmenter(tmp_path: Path) -> None:
    records = [plan_of("sam", options(pair(tmp_path, kind))).record for kind in ("square", "plain")]
    assert records[0].sha256 != records[1].sha256


def test_masks_that_are_bad_unstable_empty_or_seen_already_are_dropped() -> None:
    masks = np.full((6, 8, 8), -9.0)
    masks[0, :4] = 9  # kept
    masks[1, :4] = 9  # the same, worse
    masks[2, 4:] = 9  # bad
    masks[3] = 0.5  # nowhere sure
    masks[5, :4, :4] = 9  # half of the first: IoU 0.5
    found = kept(masks, np.array([0.95, 0.9, 0.8, 0.99, 0.99, 0.87]))
    assert np.array_equal(found, masks[[0, 5]] > 0)
    assert kept(masks[2:3], np.array([0.5])).shape == (0, 8, 8)


def test_stability_is_measured_at_its_limit() -> None:
    masks = np.full((2, 10, 10), -9.0)
    masks[0].reshape(-1)[:92], masks[0].reshape(-1)[92:] = 2, -0.5
    masks[1].reshape(-1)[:91], masks[1].reshape(-1)[91:] = 2, -0.5
    assert len(kept(masks, np.array([0.95, 0.94]))) == 1


def test_smaller_masks_lie_above_and_hidden_ones_have_no_number() -> None:
    masks = np.zeros((4, 6, 6), bool)
    masks[0, :2] = True
    masks[1, :4] = True
    masks[2, :2, :3], masks[3, :2, 3:] = True, True  # both hide mask 0
    found = laid(masks)
    assert found[0].tolist() == [2, 2, 2, 3, 3, 3] and found[3].tolist() == [1] * 6 and not found[4:].any()
    assert not laid(masks[:0]).any()


def test_of_too_many_masks_the_largest_count() -> None:
    masks = np.zeros((80, 1, 81), bool)
    for index in range(80):
        masks[index, 0, index:] = True
    found = laid(masks)
    assert found.max() == 63 and found[0, :2].tolist() == [1, 2] and (found[0, 63:] == 63).all()


def test_the_grid_lies_in_the_middles_of_its_cells() -> None:
    points = grid(32, 64)
    assert points.shape == (256, 2) and points[0].tolist() == [2, 1] and points[-1].tolist() == [62, 31]
    assert points[1].tolist() == [6, 1]


# Saliency


def brightness(path: Path, shape: list[int | str], output: str = "good", scale: float = 1.0) -> Path:
    """A network whose probability is the mean of the channels, times something."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["good"]),
        helper.make_node("Identity", ["input"], ["colour"]),
        helper.make_node("Sqrt", ["good"], ["root"]),
    ]
    outputs = [value(output, [1, "c", "h", "w"])]
    path.write_bytes(
        model(nodes, [value("input", shape)], outputs, {"scale": np.float32(scale)}).SerializeToString()
    )
    return path


@pytest.mark.parametrize("shape", [[1, 3, 32, 32], [1, 3, "h", "w"]])
def test_the_object_is_what_is_more_probable_than_half(tmp_path: Path, shape: list[int | str]) -> None:
    plan = plan_of("saliency", options((brightness(tmp_path / "net.onnx", shape),)))
    image = squares(32)
    with plan.start() as segmenter:
        found = segmenter.segment(image)
        assert np.array_equal(found, segmenter.segment(image[..., :1]))
        flat = segmenter.segment(np.full((5, 7, 3), 99, np.uint8))
        dot = segmenter.segment(np.zeros((1, 1, 1), np.uint8))
    # 125 is half way between 50 and 200; 120 is not the object.
    inside = image[..., 0] == 200
    assert found[inside].mean() > 0.9 and found[image[..., 0] == 50].max() == 0
    assert flat.shape == (5, 7) and not flat.any() and dot.shape == (1, 1)


def test_networks_that_give_no_probabilities_are_refused(tmp_path: Path) -> None:
    for output, scale, words in (
        ("colour", 1.0, "no probability for each pixel"),
        ("root", -1.0, "no number"),
    ):
        path = brightness(tmp_path / f"{output}.onnx", [1, 3, 16, 16], output, scale)
        plan = plan_of("saliency", options((path,)))
        with plan.start() as segmenter, pytest.raises(SegmentError, match=words):
            segmenter.segment(np.full((16, 16, 3), 250, np.uint8))


def test_networks_that_take_no_image_or_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(encoder("plain").SerializeToString())
    with (
        pytest.raises(SegmentError, match="takes one float32 image"),
        plan_of("saliency", options((path,))).start(),
    ):
        pass
    fixed = brightness(tmp_path / "fixed.onnx", [1, 3, 16, 16])
    with (
        pytest.raises(SegmentError, match="another size"),
        plan_of("saliency", options((fixed,), 32)).start(),
    ):
        pass
