"""The search for HELLO: when it is asked, what comes instead, and when there is no use in asking on."""

from __future__ import annotations

from semflash.errors import LinkError
from semflash.link.core.patience import FIRST_ASK_S, Search
from semflash.link.frame import Event
from semflash.link.handshake import Expected, HelloWatch


class Asking:
    """HELLO has been asked and has not come. Decisions only: the core sends and takes the answer.

    Args:
        now_s: the search begins. answer_s: in which a known device answers; None: nothing is known of it.
        limit_s: without a whole frame of the device before it counts as dead. timeout_s: of the core.
    """

    def __init__(self, now_s: float, answer_s: float | None, limit_s: float, timeout_s: float) -> None:
        self._began_s, self._known = now_s, answer_s is not None
        first_wait_s = answer_s if answer_s is not None else min(FIRST_ASK_S, timeout_s)
        self._search, self._watch = Search(now_s, first_wait_s, limit_s), HelloWatch()

    def asks(self, now_s: float) -> bool:
        """Whether to ask now; counts the question."""
        return self._search.asks(now_s)

    @property
    def asks_earlier_versions(self) -> bool:
        """Whether the question goes to firmware of earlier versions, too, which hears nothing else."""
        return self._search.asked > 1 and not self._known

    def came(self, size: int) -> None:
        """So many bytes came."""
        self._watch.see(None, size)

    def see(self, event: Event) -> None:
        """A frame, or what is left of one, came."""
        self._watch.see(event, 0)

    def no_answer(self, event: Event, now_s: float) -> None:
        """What came was not the answer: the next question goes out sooner, and the search may last longer."""
        self._search.stirred()
        if self._watch.is_device(event):
            self._search.heard(now_s)

    def is_over(self, now_s: float) -> bool:
        """Whether to give up: the time is over, or the device has said that it speaks another version."""
        return self._search.over(now_s) or self._is_other_version

    @property
    def _is_other_version(self) -> bool:
        return self._search.asked > 1 and self._watch.other_version is not None

    def due_s(self, now_s: float) -> float:
        """When to ask again or to give up."""
        return now_s if self._is_other_version else self._search.due_s

    def paused(self, seconds: float) -> None:
        """The caller took its time: the search lasts so much longer."""
        self._search.paused(seconds)
        self._began_s += seconds

    def failure(self, expected: Expected, now_s: float, whole_before: int) -> LinkError:
        """Why no HELLO came. whole_before: whole frames of this session before that."""
        return self._watch.failure(expected, now_s - self._began_s, whole_before if self._known else 0)
