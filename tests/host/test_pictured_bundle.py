"""Picture and map of levels in a contract: what fits, what is refused, and what stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from semflash.bundle import Bundle, read_bundle, write_bundle
from semflash.bundle.checks import check_contract
from semflash.bundle.digest import bundle_hash
from semflash.bundle.graphs.edge import check_edge
from semflash.bundle.schema import Contract
from semflash.edge.decoder import EdgeDecoder
from semflash.errors import BundleError, DatasetError
from semflash.outputs.image import unit
from semflash.outputs.kinds import ImageTask
from semflash.outputs.level_map import LevelMap, colours
from semflash.outputs.metrics import OBJECT_PSNR, OBJECT_SSIM, PSNR, SSIM
from semflash.outputs.pictured import figures, measure, metrics, object_pixels
from semflash.outputs.psnr_ssim import psnr, ssim
from semflash.program.layout import Layout, Region
from semflash.program.tensors import Codes, Tensor

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"


@pytest.fixture(scope="module")
def limitnet() -> Bundle:
    return read_bundle("fashion-mnist-limitnet")


def changed(contract: Contract, **fields: Any) -> Contract:
    return msgspec.structs.replace(contract, **fields)


def test_a_contract_without_them_says_nothing_of_them(limitnet: Bundle) -> None:
    plain = msgspec.to_builtins(limitnet.contract)
    assert "picture" not in plain and "level_map" not in plain
    assert (limitnet.picture, limitnet.level_map) == (None, None)
    named = changed(limitnet.contract, level_map="saliency_codes")
    assert bundle_hash(named) != bundle_hash(limitnet.contract)
    assert bundle_hash(changed(named, level_map=UNSET)) == bundle_hash(limitnet.contract)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"picture": "tail"}, "no edge graph before the last"),
        ({"picture": "encoder"}, "no edge graph before the last"),
        ({"level_map": "latent"}, "does not tell the map of levels"),
        ({"level_map": "codes"}, "does not tell the map of levels"),  # sent in another order, as "sorted"
        ({"level_map": "nothing"}, "does not tell the map of levels"),
        ({"level_map": "sorted"}, r"not \(rows, columns\)"),
    ],
)
def test_names_that_mean_nothing_are_refused(limitnet: Bundle, fields: dict[str, str], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        check_contract(changed(limitnet.contract, **fields))


def test_a_task_of_pictures_has_no_second_one(limitnet: Bundle) -> None:
    task = ImageTask(*limitnet.image_shape)
    with pytest.raises(BundleError, match="the picture already"):
        check_contract(changed(limitnet.contract, picture="decoder", task=task))


def with_tensor(bundle: Bundle, tensor: Tensor) -> Contract:
    """The contract with another tensor of this name."""
    program = bundle.program
    tensors = tuple(tensor if one.name == tensor.name else one for one in program.tensors)
    return changed(bundle.contract, program=msgspec.structs.replace(program, tensors=tensors))


@pytest.mark.parametrize("shape", [(2, 8, 1), (8, 2, 1), (16, 1, 1)])
def test_a_map_must_tile_the_image(shape: tuple[int, ...]) -> None:
    """A program whose first region is the map, over an image of 28 x 28 pixels."""
    tiny = read_bundle(TINY)
    codes = tiny.program.tensor("codes")
    assert isinstance(codes.holds, Codes)
    contract = changed(tiny.contract, level_map="codes")
    with pytest.raises(BundleError, match=r"not \(rows, columns\)"):
        check_contract(contract)  # (4, 4, 4)
    from semflash.bundle.checks import _check_level_map

    fits = with_tensor(tiny, Tensor("codes", (4, 4, 1), codes.holds))
    _check_level_map(changed(fits, level_map="codes"))
    wrong = with_tensor(tiny, Tensor("codes", shape, codes.holds))
    with pytest.raises(BundleError, match="do not tile the image"):
        _check_level_map(changed(wrong, level_map="codes"))


def test_values_are_no_map_of_levels() -> None:
    tiny = read_bundle(TINY)
    from semflash.bundle.checks import _check_level_map

    program = msgspec.structs.replace(tiny.program, payload=Layout((Region("latent", 8),)))
    with pytest.raises(BundleError, match="holds no codes"):
        _check_level_map(changed(tiny.contract, program=program, level_map="latent"))


def test_a_graph_that_gives_no_picture_is_refused_before_it_runs(limitnet: Bundle) -> None:
    contract = changed(limitnet.contract, picture="decoder")
    check_contract(contract)
    with pytest.raises(BundleError, match="disagree about the picture"):
        check_edge(contract, limitnet.edge)


@pytest.mark.parametrize("field", ["picture", "level_map"])
@pytest.mark.parametrize("value", [None, 3, "", "Picture", "a" * 65, ["decoder"]])
def test_names_on_disk_follow_the_schema(limitnet: Bundle, tmp_path: Path, field: str, value: Any) -> None:
    contract = changed(limitnet.contract, name="mapped", level_map="saliency_codes")
    made = write_bundle(tmp_path / "mapped.semcodec", contract, limitnet.record, dict(limitnet.files))
    place = made.path / "codec.json"
    text = json.loads(place.read_text(encoding="utf-8"))
    text["contract"][field] = value
    place.write_text(json.dumps(text), encoding="utf-8")
    with pytest.raises(BundleError, match="does not follow the schema"):
        read_bundle(made.path)


def test_a_bundle_with_a_map_tells_it_and_all_else_as_before(limitnet: Bundle, tmp_path: Path) -> None:
    contract = changed(limitnet.contract, name="mapped", level_map="saliency_codes")
    write_bundle(tmp_path / "mapped.semcodec", contract, limitnet.record, dict(limitnet.files))
    bundle = read_bundle(tmp_path / "mapped.semcodec")
    assert (bundle.level_map, bundle.picture) == ("saliency_codes", None)
    payloads = np.random.default_rng(0).integers(0, 256, (7, bundle.payload_bytes), np.uint8)
    found, plain = EdgeDecoder(bundle).decode(payloads, 0.0), EdgeDecoder(limitnet).decode(payloads, 0.0)
    np.testing.assert_array_equal(found.outputs, plain.outputs)
    assert plain.levels is None and plain.pictures is None and found.pictures is None
    # 16 codes of 3 bits each, the most significant bit first
    bits = np.unpackbits(payloads, axis=1)[:, :48].reshape(7, 16, 3)
    np.testing.assert_array_equal(found.levels, (bits @ [4, 2, 1]).reshape(7, 4, 4))
    nothing = EdgeDecoder(bundle).decode(payloads, 0.0, bits=np.zeros(7, np.int64))
    assert nothing.levels is not None
    neutral = bundle.program.tensor("saliency_codes").holds
    assert isinstance(neutral, Codes) and (nothing.levels == neutral.neutral).all()


def test_levels_are_counted_coloured_and_laid_over_the_image() -> None:
    found = LevelMap(np.array([[0, 3], [3, 1]], np.uint8), 4)
    assert found.patches == [1, 1, 0, 2] and found.text == ["03", "31"]
    four = colours(4)
    assert four.shape == (4, 3) and (np.diff(four.astype(int).sum(axis=1)) > 0).all(), "lighter and lighter"
    np.testing.assert_array_equal(found.pixels, four[[[0, 3], [3, 1]]])
    image = np.zeros((6, 4, 1), np.uint8)
    over = found.over(image)
    assert (
        over.shape == (6, 4, 3) and (over[:3, :2] == over[0, 0]).all() and (over[3:, 2:] == over[5, 3]).all()
    )
    assert (found.over(image + 200).astype(int) > over).all(), "the image shines through"
    assert LevelMap(np.array([[40]], np.uint8), 50).text == ["+"] and colours(1).shape == (1, 3)


def test_an_object_is_measured_where_it_lies() -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (3, 16, 16, 3), np.uint8)
    pictures = np.clip(unit(images) + rng.normal(0, 0.1, images.shape), 0, 1).astype(np.float32)
    cover = np.zeros((3, 2, 2), np.uint8)
    cover[0, 0, 1], cover[1] = 13, 255  # 13 / 255 is just above 0.05, 12 / 255 below
    cover[2, 1, 1] = 12
    found = figures(pictures, images, cover)
    assert metrics(cover) == (PSNR, SSIM, OBJECT_PSNR, OBJECT_SSIM) and metrics(None) == (PSNR, SSIM)
    error = np.mean((pictures[0, :8, 8:].astype(np.float64) - images[0, :8, 8:] / 255.0) ** 2)
    assert found[0, 2] == pytest.approx(-10 * np.log10(error), abs=1e-5)
    assert found[1, 2:] == pytest.approx(found[1, :2], abs=1e-9), "an object that is everywhere"
    assert np.isnan(found[2, 2:]).all() and np.isfinite(found[:, :2]).all()
    scores = measure(found)
    assert scores[2].value == pytest.approx(found[:2, 2].mean()) and len(scores) == 4
    np.testing.assert_array_equal(object_pixels(cover, (16, 16)), object_pixels(cover / 255, (16, 16)))
    with pytest.raises(DatasetError, match="no image of the sample"):
        measure(found[2:])
    with pytest.raises(DatasetError, match="do not tile"):
        object_pixels(np.zeros((1, 3, 2), np.uint8), (16, 16))


def test_structural_similarity_of_a_part_is_the_mean_of_its_windows() -> None:
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    rng = np.random.default_rng(5)
    one, other = (rng.random((2, 20, 24, 2)).astype(np.float32) for _ in range(2))
    where = np.zeros((2, 20, 24), np.bool_)
    where[0, 5:12, 4:9] = True
    where[1, 0, 0] = True  # no window has its middle there
    whole = reference.structural_similarity(
        one[0].astype(float), other[0].astype(float), channel_axis=-1, data_range=1.0, full=True
    )[1]
    found = ssim(one, other, where)
    assert found[0] == pytest.approx(whole[5:12, 4:9].mean(), abs=1e-9) and np.isnan(found[1])
    np.testing.assert_allclose(ssim(one, other, np.ones_like(where)), ssim(one, other), atol=1e-12)
    np.testing.assert_allclose(psnr(one, other, np.ones_like(where)), psnr(one, other), atol=1e-12)
