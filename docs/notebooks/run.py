"""Run the notebooks of this folder and keep what their cells print and draw.

python docs/notebooks/run.py                     # run all, write their outputs
python docs/notebooks/run.py evaluate.ipynb      # one

Cells run one behind the other in one namespace, in a folder of their own, without Jupyter. Outputs are text
and pictures of Matplotlib, as Jupyter would show them.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run what is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks of this folder (default: all)")
    names = parser.parse_args().names or sorted(path.name for path in HERE.glob("*.ipynb"))
    for name in names:
        path = HERE / name
        notebook = json.loads(path.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            run(notebook)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name}: {sum(cell['cell_type'] == 'code' for cell in notebook['cells'])} cells")
    return 0


def run(notebook: dict[str, Any]) -> None:
    """Run every cell of code in the working directory and put its outputs into it.

    Raises:
        Exception: what a cell raises.
    """
    os.environ.setdefault("MPLBACKEND", "agg")
    close_figures()  # what somebody else left open is no output of a cell
    namespace: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        count += 1
        said = io.StringIO()
        code = compile("".join(cell["source"]), f"<cell {count}>", "exec")
        with contextlib.redirect_stdout(said):
            exec(code, namespace)
        text = said.getvalue()
        cell["execution_count"] = count
        cell["outputs"] = [stream(text)] if text else []
        cell["outputs"] += figures()


def stream(text: str) -> dict[str, Any]:
    """Printed text as an output."""
    return {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}


def figures() -> list[dict[str, Any]]:
    """Open figures as outputs; they are closed."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from matplotlib import pyplot

    shown = []
    for number in pyplot.get_fignums():
        data = io.BytesIO()
        pyplot.figure(number).savefig(data, format="png", dpi=80, bbox_inches="tight")
        picture = base64.b64encode(data.getvalue()).decode("ascii")
        shown.append({"data": {"image/png": picture + "\n"}, "metadata": {}, "output_type": "display_data"})
    close_figures()
    return shown


def close_figures() -> None:
    """No figure is open."""
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot

        pyplot.close("all")


if __name__ == "__main__":
    raise SystemExit(main())
