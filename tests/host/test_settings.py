"""semflash.toml: found, read, checked, with paths that count from its folder."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semflash.errors import UsageError
from semflash.settings import Settings, find_settings, first, load_settings, parse_settings

FILE = Path("/project/semflash.toml")
TABLES = ("build", "link", "monitor", "train", "evaluate")


def test_without_a_file_all_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(start=tmp_path)
    assert settings == Settings()
    assert (settings.path, settings.build.board, settings.monitor.count) == (None, "qemu-stm32f405", None)


def test_the_file_is_found_in_a_parent_folder_and_the_nearest_wins(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "semflash.toml").write_text("[monitor]\ncount = 1\n")
    assert load_settings(start=deep).monitor.count == 1
    (tmp_path / "a" / "semflash.toml").write_text("[monitor]\ncount = 2\n")
    assert load_settings(start=deep).monitor.count == 2
    assert find_settings(deep) == tmp_path / "a" / "semflash.toml"


def test_values_are_read_with_their_types() -> None:
    settings = parse_settings("[link]\nbaud = 115200\ntimeout_s = 2\n[evaluate]\nbers = [0, 0.5]\n", FILE)
    assert (settings.link.baud, settings.link.timeout_s) == (115200, 2.0)
    assert settings.evaluate.bers == (0.0, 0.5)


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.semcodec").mkdir()
    text = '[build]\nbundle = "mine.semcodec"\nout_dir = "out"\n[monitor]\nrecord = "/abs/run.jsonl"\n'
    settings = parse_settings(text, tmp_path / "semflash.toml")
    assert settings.build.bundle == str(tmp_path / "mine.semcodec")
    assert settings.build.out_dir == str(tmp_path / "out")
    assert settings.monitor.record == "/abs/run.jsonl"


def test_a_data_set_with_a_slash_is_a_folder_and_one_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    text = '[monitor]\ndataset = "mnist"\n[evaluate]\ndataset = "./photos"\n'
    settings = parse_settings(text, tmp_path / "semflash.toml")
    assert settings.monitor.dataset == "mnist"
    assert settings.evaluate.dataset == str(tmp_path / "photos")


def test_a_zoo_name_stays_a_name(tmp_path: Path) -> None:
    settings = parse_settings('[build]\nbundle = "fashion-mnist-48"\n', tmp_path / "semflash.toml")
    assert settings.build.bundle == "fashion-mnist-48"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[monitr]\n", ["unknown table 'monitr'", "did you mean monitor"]),
        ("[monitor]\ncuont = 3\n", ["unknown key 'monitor.cuont'", "did you mean monitor.count"]),
        ("[link]\nzzz = 3\n", ["unknown key 'link.zzz'", "link.baud"]),
        ("build = 3\n", ["[build]", "must be a table"]),
        ('[link]\nbaud = "fast"\n', ["link.baud", "Expected `int"]),
        ("[monitor]\nber = 0.7\n", ["monitor.ber", "<= 0.5"]),
        ("[monitor]\nber = nan\n", ["monitor.ber"]),
        ("[monitor]\ncount = true\n", ["monitor.count"]),
        ("[monitor]\ncount = 0\n", ["monitor.count"]),
        ("[evaluate]\nbers = []\n", ["evaluate.bers"]),
        ("[build\n", ["not TOML", "line 1"]),
        ("[build]\nboard = 'x'\nboard = 'y'\n", ["not TOML", "line 3"]),
        ("a = " + "[" * 5000 + "\n", ["not TOML"]),
    ],
)
def test_a_bad_file_is_refused_with_the_place_and_a_hint(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_settings(text, FILE)
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_missing_binary_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_settings(tmp_path / "none.toml")
    path = tmp_path / "semflash.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_settings(path)
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="longer"):
        load_settings(path)


@given(st.text(max_size=200))
def test_any_text_gives_settings_or_a_usage_error(text: str) -> None:
    try:
        found = parse_settings(text, FILE)
    except UsageError as error:
        assert error.what and str(FILE) in str(error)
    else:
        assert found == Settings(path=FILE), "random text has set something"


def test_every_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    known = set()
    for table in TABLES:
        fields = msgspec.structs.fields(type(getattr(Settings(), table)))
        known |= {f"{table}.{field.name}" for field in fields}
    assert documented == known


def test_a_flag_comes_before_the_file_and_the_file_before_nothing() -> None:
    assert first(0, 5) == 0
    assert first(None, 5) == 5
    assert first(None, None) is None
