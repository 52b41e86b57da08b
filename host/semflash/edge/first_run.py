"""A bundle of unknown origin runs in a child first: a crash of LiteRT is then a BundleError, not the end."""

from __future__ import annotations

import msgspec

from semflash.bundle import known
from semflash.bundle.reader import Bundle
from semflash.bundle.schema import Contract
from semflash.errors import BundleError
from semflash.runtime.child import run_child

_CHILD = "semflash.edge.first_run_child"
_WALL_S = 180.0
_FROM_TRUST = "get the bundle again from whom you trust, or export it again"


class Parcel(msgspec.Struct, frozen=True):
    """What the child gets: a checked contract and the contents of the .tflite files."""

    contract: Contract
    files: dict[str, bytes]


class Verdict(msgspec.Struct, frozen=True):
    """What the child answers; an empty `what`: all went well."""

    what: str = ""
    value: str = ""
    remedy: str = ""


def admit(bundle: Bundle) -> None:
    """Let a bundle pass that is known here; try any other in a child with limits, and remember that it ran.

    The child runs all graphs of the bundle on a few made-up images: 90 s of processor time, 180 s in all,
    8 GiB of address space, files of 1 MiB. It is no sandbox: what it finds is crashes, not intentions.

    Raises:
        BundleError: the bundle crashes, hangs, needs more than that, or a graph does not run.
    """
    if known.is_known(bundle.hash_hex):
        return
    contract = bundle.contract
    files = [model.file.file for model in contract.models] + [graph.file.file for graph in contract.edge]
    parcel = Parcel(contract, {name: bundle.files[name] for name in files})
    outcome = run_child(_CHILD, msgspec.msgpack.encode(parcel), _WALL_S)
    if outcome.result is None:
        raise BundleError(
            f"{outcome.stage or 'the bundle'} does not survive its first run: {outcome.cause}",
            value=bundle.path,
            remedy=_FROM_TRUST,
        )
    verdict = msgspec.json.decode(outcome.result, type=Verdict)
    if verdict.what:
        raise BundleError(verdict.what, value=verdict.value or None, remedy=verdict.remedy or _FROM_TRUST)
    known.remember(bundle.hash_hex)
