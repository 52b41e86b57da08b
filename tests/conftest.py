"""What all tests share: a private state folder, so that no test sees or leaves an emulator of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The fixtures `desk`, `plug` and `built`: a desk of stand-in boards.
pytest_plugins = ["fakes.flash_desk"]

# A busy machine draws examples slowly, which says nothing of the code under test.
settings.register_profile("semflash", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("semflash")


@pytest.fixture(scope="session", autouse=True)
def private_emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """SEMFLASH_STATE_DIR for the whole run; emulators that a test left are stopped and reported."""
    folder = tmp_path_factory.mktemp("semflash-state")
    before = os.environ.get("SEMFLASH_STATE_DIR")
    os.environ["SEMFLASH_STATE_DIR"] = str(folder)
    os.environ["SEMFLASH_EMULATOR_UNTIL"] = str(os.getpid())  # however the tests end
    try:
        yield folder
        from semflash.firmware.emulator import emulator

        left = emulator.stop_all()
        assert not left, f"a test left emulated boards running: {left}"
    finally:
        del os.environ["SEMFLASH_EMULATOR_UNTIL"]
        if before is None:
            del os.environ["SEMFLASH_STATE_DIR"]
        else:
            os.environ["SEMFLASH_STATE_DIR"] = before


@pytest.fixture
def own_emulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own; whatever runs in it is stopped afterwards."""
    from semflash.firmware.emulator import emulator

    folder = tmp_path / "state"
    monkeypatch.setenv("SEMFLASH_STATE_DIR", str(folder))
    yield folder
    emulator.stop_all()


@pytest.fixture(scope="session")
def pictured_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``pictured.semcodec`` (fakes/pictured_codec.py), exported once."""
    from fakes.pictured_codec import export_pictured

    folder = tmp_path_factory.mktemp("pictured")
    export_pictured(folder)
    return folder
