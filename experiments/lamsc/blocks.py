"""The tables of docs/experiments/lamsc.md, out of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.lamsc import names
from experiments.lamsc.plan import GROUP
from experiments.lamsc.results import Result, Row

NOTHING = "Not measured yet."

Results = Sequence[Result]


def all_blocks(found: Results) -> dict[str, str]:
    """Every generated part by name."""
    made: dict[str, Callable[[Results], str]] = {
        "bases": bases,
        "evidence": evidence,
        "attention": attention,
        "pictures": pictures,
        "errors": errors,
        "sweep": sweep,
        "trained": trained,
    }
    return {name: make(found) for name, make in made.items()}


def bases(found: Results) -> str:
    """What each knowledge base could tell, and what the task makes of it."""
    results = _of_bases(found, "knowledge")
    if not results:
        return NOTHING
    lines = _head(
        "segments",
        "test images",
        "of an image",
        "IoU of the best choice",
        "AUC of the best choice",
        "AUC, pointing of the size rule",
    )
    for one in results:
        rows = {row.arm: row for row in one.rows}
        cells = (
            one.variant,
            f"{one.figures['test_images']:,}",
            f"{one.figures['segments']:.1f}",
            f"{one.figures['reach']:.2f}",
            f"{rows[names.BEST].auc:.3f}",
            _figures(rows[names.RULED]),
        )
        lines.append(_line(cells))
    return "\n".join(lines)


def evidence(found: Results) -> str:
    """AUC and pointing of each evidence, by knowledge base."""
    return _by_base(_of_bases(found, "knowledge"), (names.BEST, *names.EVIDENCE))


def attention(found: Results) -> str:
    """Attention's parts and the student, beside what they learnt from."""
    arms = (names.RULED, *(f"attention-{parts}" for parts in names.ATTENTION), names.STUDENT)
    return _by_base(_of_bases(found, "attention"), arms)


def pictures(found: Results) -> str:
    """PSNR whole and inside the object, and labels, of every arm by bytes."""
    rows = _rows(found, ("codec", "formats"))
    if not rows:
        return NOTHING
    lines = _head("PSNR whole / object, dB (labels)", *(f"{rate} B" for rate in names.RATES))
    for arm in dict.fromkeys(row.arm.partition(", p >")[0] for row in rows):
        own = {row.rate: row for row in rows if row.arm.partition(", p >")[0] == arm}
        lines.append(_line((arm, *(_picture(own.get(rate)) for rate in names.RATES))))
    return "\n".join(lines)


def errors(found: Results) -> str:
    """Over bit errors: PSNR, labels, lost pictures."""
    results = [one for one in found if one.group == GROUP and one.variant == "errors"]
    if not results:
        return NOTHING
    lines = _head("BER", "map", "PSNR whole / object, dB", "right labels", "lost")
    for row in results[0].rows:
        more = results[0].figures[str(row.ber)]
        cells = (
            f"{row.ber:.2%}",
            "protected" if more["protected"] else "as it is",
            f"{row.psnr:.2f} / {row.object_psnr:.2f}",
            f"{more['accuracy']:.1%}",
            f"{more['lost']:.1%}",
        )
        lines.append(_line(cells))
    return "\n".join(lines)


def sweep(found: Results) -> str:
    """The codec over all bytes."""
    rows = {row.rate: row for row in _rows(found, ("codec",)) if row.arm == names.CODEC}
    if not rows:
        return NOTHING
    lines = _head("bytes told", "sent, mean", "PSNR whole / object, dB", "right labels")
    for rate, row in sorted(rows.items()):
        right = "" if row.accuracy is None else f"{row.accuracy:.1%}"
        lines.append(_line((str(rate), f"{row.sent:.1f}", f"{row.psnr:.2f} / {row.object_psnr:.2f}", right)))
    return "\n".join(lines)


def _rows(found: Results, variants: Sequence[str]) -> list[Row]:
    """Of the first seed's jobs, in the order of the variants."""
    results = {one.variant: one for one in found if one.group == GROUP and one.seed == 0}
    return [row for variant in variants if variant in results for row in results[variant].rows]


def _picture(row: Row | None) -> str:
    if row is None:
        return ""
    named = "" if row.accuracy is None else f" ({row.accuracy:.1%})"
    return f"{row.psnr:.2f} / {row.object_psnr:.2f}{named}"


def trained(found: Results) -> str:
    """How long each job took."""
    if not found:
        return NOTHING
    lines = _head("job", "minutes")
    lines += [_line((one.job, f"{one.seconds['job'] / 60:.0f}")) for one in found]
    return "\n".join(lines)


def _by_base(found: Results, arms: Sequence[str]) -> str:
    """A line for each arm: AUC and pointing of each knowledge base."""
    rows = {one.variant: {row.arm: row for row in one.rows} for one in found}
    if not rows:
        return NOTHING
    lines = _head("AUC, pointing", *rows)
    for arm in arms:
        lines.append(_line((names.TITLES[arm], *(_figures(there.get(arm)) for there in rows.values()))))
    return "\n".join(lines)


def _figures(row: Row | None) -> str:
    return "" if row is None else f"{row.auc:.3f}, {row.pointing:.0%}"


def _of_bases(found: Results, group: str) -> list[Result]:
    order = {base: index for index, base in enumerate(names.BASES)}
    return sorted((one for one in found if one.group == group), key=lambda one: order[one.variant])


def _head(*cells: str) -> list[str]:
    return [_line(cells), _line(["---"] * len(cells))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
