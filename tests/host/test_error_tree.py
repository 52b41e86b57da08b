"""One tree of errors: whatever a user can meet has what, value, remedy, an exit code and a kind."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from semflash import errors
from semflash.cli.main import main
from semflash.firmware.building.bare_model import read_bare_model
from semflash_codegen import errors as of_codegen

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "codegen" / "models"
#: Signals between two functions of one module, which never reach a user.
SIGNALS = {"_Stop", "NotReached", "Stopped"}
BUILTIN = {"Exception", "BaseException", "ValueError", "RuntimeError", "OSError", "TypeError", "LookupError"}


def _classes() -> dict[str, set[str]]:
    """Names of the bases of every class of both packages, by the class's name."""
    found: dict[str, set[str]] = {}
    for path in (*(ROOT / "host").rglob("*.py"), *(ROOT / "codegen").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return found


def test_every_exception_of_both_packages_grows_from_one_root() -> None:
    roots = {name for name, bases in _classes().items() if bases & BUILTIN}
    assert roots == {"SemflashError"} | SIGNALS


def test_the_generators_errors_are_about_a_model_and_exit_with_1() -> None:
    for kind in (
        of_codegen.MalformedModelError,
        of_codegen.UnsupportedModelError,
        of_codegen.CapacityError,
        of_codegen.RequestError,
    ):
        error = kind("it is wrong", value=3, remedy="mend it")
        assert isinstance(error, errors.ModelError)
        assert (error.exit_code, error.kind, str(error)) == (
            1,
            "model",
            "it is wrong (got: 3)\n  try: mend it",
        )
    missing = of_codegen.KernelSourceError("no sources")
    assert isinstance(missing, errors.ToolMissingError) and missing.kind == "tool-missing"


def test_the_generators_refusal_is_passed_on_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The very object: its class says what is wrong with the file, which a translation used to lose."""
    model = MODELS / "refused_float.tflite"
    with pytest.raises(of_codegen.UnsupportedModelError, match="not int8") as caught:
        read_bare_model(model)
    assert caught.value.remedy and caught.value.__cause__ is None
    assert main(["bench", str(model), "--board", "native"]) == 1
    assert "not int8" in capsys.readouterr().err


def test_a_file_that_ends_early_is_malformed_for_the_host_too(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((MODELS / "enc32.tflite").read_bytes()[:400])
    with pytest.raises(of_codegen.MalformedModelError) as caught:
        read_bare_model(cut)
    assert caught.value.remedy
