"""The report in headless Chromium: nothing is fetched, no complaint, pictures and tables have a size."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL.Image")
pytest.importorskip("pycocotools")

from fakes.box_folder import coco_folder
from fakes.idx_files import write_blocks
from fakes.results import campaign, sent_again
from semflash.cli.main import main
from semflash.report.results import ResultStore

TINY = Path(__file__).parents[1] / "vectors" / "tiny.semcodec"
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--enable-logging=stderr",
)
#: Run in the page: sizes of what it shows, and whether it is wider than the window.
PROBE = """<script>
addEventListener("load", () => {
  const sizes = [...document.querySelectorAll("figure svg, table")].map(e => {
    for (const d of document.querySelectorAll("details")) d.open = true;
    const box = e.getBoundingClientRect(); return [e.tagName, box.width, box.height]; });
  const around = "[id*='tick'], [id*='legend'], [id*='matplotlib.axis']";
  const labels = [...document.querySelectorAll("figure svg")].map(svg => [...svg.querySelectorAll("text")]
    .filter(t => t.closest(around)).map(t => [t.textContent, t.getBoundingClientRect()]));
  const overlaps = labels.flatMap(boxes => boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) =>
    Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2 &&
    Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4).map(([b]) => [a, b])));
  const found = {sizes, overlaps, labels: labels.flat().length,
    wide: document.documentElement.scrollWidth > innerWidth,
    loaded: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:"))};
  const out = document.createElement("pre"); out.id = "probe"; out.textContent = JSON.stringify(found);
  document.body.append(out); });
</script></body>"""

#: A window of headless Chromium is at least 500 pixels wide; a frame is as narrow as a phone.
FRAME = """<iframe src="{page}" width="{width}" height="1600" style="border: 0"></iframe><script>
  const frame = document.querySelector("iframe");
  frame.addEventListener("load", () => setTimeout(() => {{
    const out = document.createElement("pre"); out.id = "framed";
    out.textContent = frame.contentDocument.querySelector("#probe").textContent;
    out.dataset.inner = frame.contentWindow.innerWidth; document.body.append(out); }}, 300));
</script>"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"
)


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on localhost and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.folder = folder
        handler = functools.partial(Handler, directory=str(folder))
        super().__init__(("127.0.0.1", 0), handler)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Reports of the tiny bundle with made-up methods and of a detector, each as it is and with a probe."""
    folder = tmp_path_factory.mktemp("served")
    data = write_blocks(tmp_path_factory.mktemp("idx"), train=40, test=60)
    store = ResultStore(tmp_path_factory.mktemp("results"))
    for one in [*campaign()[:12], *sent_again()]:
        store.put(one)
    arguments = ["evaluate", str(TINY), "--data-dir", str(data), "--compare", str(store.root)]
    assert main([*arguments, "--report", str(folder / "report.html")]) == 0
    boxes = coco_folder(tmp_path_factory.mktemp("coco") / "shapes", 6, 12, ("animal", "fruit"))
    arguments = ["evaluate", "stamps-detect", "--dataset", str(boxes), "--ber", "0,0.01", "--compare"]
    assert main([*arguments, "--report", str(folder / "detector.html")]) == 0
    for name in ("report", "detector"):
        text = (folder / f"{name}.html").read_text(encoding="utf-8")
        probed = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", PROBE)
        (folder / f"{name}-probed.html").write_text(probed, encoding="utf-8")
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def browse(served: Server, page: str, tmp_path: Path, *more: str, width: int = 1200) -> tuple[str, str]:
    """What Chromium printed: standard output and error."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1600",
        *more,
    ]
    url = f"http://127.0.0.1:{served.server_address[1]}/{page}"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", ["report", "detector"])
def test_nothing_but_the_page_is_fetched_and_the_console_stays_empty(
    served: Server, tmp_path: Path, name: str
) -> None:
    served.asked.clear()
    picture = tmp_path / "page.png"
    _, messages = browse(served, f"{name}.html", tmp_path, f"--screenshot={picture}")
    assert served.asked == [f"/{name}.html"]
    assert ":CONSOLE" not in messages
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000


@pytest.mark.parametrize(("name", "width"), [("report", 1280), ("report", 400), ("detector", 400)])
def test_pictures_and_tables_have_a_size_and_the_page_fits_its_window(
    served: Server, tmp_path: Path, name: str, width: int
) -> None:
    frame = served.folder / f"{name}-{width}.html"
    frame.write_text(FRAME.format(page=f"{name}-probed.html", width=width), encoding="utf-8")
    text, _ = browse(served, frame.name, tmp_path, "--virtual-time-budget=20000", "--dump-dom", width=1400)
    match = re.search(r'<pre id="framed" data-inner="(\d+)">(.*?)</pre>', text)
    assert match is not None and int(match[1]) == width
    found = json.loads(match[2])
    tags = [tag.lower() for tag, _, _ in found["sizes"]]
    least = {"report": (8, 7), "detector": (7, 6)}[name]
    assert tags.count("svg") >= least[0] and tags.count("table") >= least[1]
    assert found["labels"] > 40 and found["overlaps"] == []  # ticks, axes and legends can be read
    assert all(across > 100 and down > 40 for _, across, down in found["sizes"])
    assert not found["wide"] and found["loaded"] == []
