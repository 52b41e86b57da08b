"""Every page of the docs has its place, every link an end, verbs are the parsers'; the site opens offline."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
CHROMIUM = shutil.which("chromium")
WITH_MKDOCS = pytest.mark.skipif(
    find_spec("material") is None, reason="mkdocs-material is not installed (requirements/docs.lock)"
)
#: A page in a frame of the wished width (a window of headless Chromium is at least 500 pixels wide), and what
#: was found in it: what it fetched beside itself, its pictures, how much wider than the frame it is, and the
#: pages that its search finds for a word.
FRAME = """<iframe src="{page}" width="{width}" height="900" style="border: 0"></iframe>
<script>
  const frame = document.querySelector("iframe");
  const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
  frame.addEventListener("load", async () => {{
    const view = frame.contentWindow, page = view.document;
    await pause(1);
    const query = page.querySelector("[data-md-component=search-query]");
    query.focus();
    query.value = "xorshift32";
    query.dispatchEvent(new view.Event("input", {{bubbles: true}}));
    query.dispatchEvent(new view.KeyboardEvent("keyup", {{bubbles: true, key: "2"}}));
    await pause(3);
    const found = {{
      loaded: view.performance.getEntriesByType("resource").map(r => r.name)
        .filter(n => !/^(data|file|blob):/.test(n)),
      pictures: [...page.images].map(i => [i.currentSrc, i.naturalWidth, i.clientWidth]),
      heading: page.querySelector(".md-content h1").textContent,
      header: view.getComputedStyle(page.querySelector(".md-header")).position,
      hits: [...page.querySelectorAll(".md-search-result__link")].map(a => a.href),
      inner: view.innerWidth, wide: page.documentElement.scrollWidth - view.innerWidth}};
    const out = document.createElement("pre"); out.id = "probe"; out.textContent = JSON.stringify(found);
    document.body.append(out); }});
</script>"""


def settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def named(nav: Any) -> Iterator[str]:
    """Pages of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from named(one)


def test_every_page_has_one_place_in_the_navigation() -> None:
    assert sorted(named(settings()["nav"])) == PAGES


def test_the_list_of_all_pages_names_every_one() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", text))
    missing = set(PAGES) - linked - {"index.md"}
    assert {page for page in missing if not page.startswith("adr/0")} == set()


def anchors(page: Path) -> set[str]:
    """Of headings, as GitHub and MkDocs make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", head).strip().lower() for head in heads)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", head)) for head in plain}


@pytest.mark.parametrize("page", ["../README.md", "../CONTRIBUTING.md", *PAGES])
def test_every_link_has_an_end(page: str) -> None:
    path = (DOCS / page).resolve()
    text = re.sub(r"^(```|~~~).*?^\1", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            wrong.append(target)
    assert not wrong


def test_the_page_of_the_verbs_is_what_the_parsers_say() -> None:
    script = ROOT / "benchmarks" / "verbs_page.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_changed_flag_makes_the_page_stale(tmp_path: Path) -> None:
    for name in ("benchmarks/verbs_page.py", "docs/verbs.md"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "verbs.md"
    page.write_text(page.read_text().replace("`--quick`", "`--fast`"))
    command = [sys.executable, tmp_path / "benchmarks" / "verbs_page.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "docs/verbs.md is stale" in done.stderr


def test_the_readme_is_short_and_has_two_pictures_and_one_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == 2
    assert len(re.findall(r"^\| --- ", text, re.MULTILINE)) == 1


def test_the_picture_of_the_live_view_needs_nothing_from_elsewhere() -> None:
    text = (DOCS / "pictures" / "live.svg").read_text(encoding="utf-8")
    assert "accuracy" in html.unescape(text) and "qemu-stm32f405" in text
    assert not re.findall(r"url\([\"']?http|href=[\"']http|@import", text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a complaint."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@WITH_MKDOCS
def test_the_site_has_every_page_and_asks_for_nothing_elsewhere(site: Path) -> None:
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    wanted = {re.sub(r"README\.md$", "index.md", page).replace(".md", ".html") for page in PAGES}
    assert wanted <= built
    for page in wanted:
        text = (site / page).read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(https?://[^\"]+)", text)
        assert not fetched, page
    assert (site / "notebooks" / "evaluate.ipynb").is_file() and not list(site.rglob("run.py"))


#: Pictures that a page shows.
PICTURES = {"index": 1, "first-board": 2, "experiments": 2}


@WITH_MKDOCS
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(
    "page", ["index", "first-board", "own-images", "verbs", "wire-format", "experiments"]
)
def test_a_page_opens_from_the_disk_and_fits_its_window(
    page: str, width: int, site: Path, tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=(site / f"{page}.html").as_uri(), width=width), encoding="utf-8")
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--allow-file-access-from-files",
    )
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"]
    more = ("--virtual-time-budget=20000", "--dump-dom", frame.as_uri())
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=True)
    match = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout)
    assert match is not None, done.stdout[-2000:]
    found = json.loads(html.unescape(match[1]))
    assert any("wire-format.html" in hit for hit in found["hits"]), found["hits"]
    assert found["inner"] == width and found["wide"] <= 0
    assert found["loaded"] == [] and found["heading"] and found["header"] == "sticky"
    assert all(natural > 0 and 0 < shown <= width for _, natural, shown in found["pictures"])
    assert len(found["pictures"]) == PICTURES.get(page, 0)
