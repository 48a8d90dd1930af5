"""Concurrent calls that meet in a process go to the engine together.

One caller leads: it takes what waits, runs it as one list, and hands the lead on; the others wait
for its commit. So a hot wallet gets faster under load. No answer leaves before the commit, and a
list that fails is run again one by one, so that one request never fails its neighbours.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection

from aforo.errors import Busy
from wallets import engine
from wallets.engine import Request, Result

MAX_LIST = 500
WAIT_SECONDS = 30


@dataclass(slots=True, eq=False)
class _Call:
    """One caller: its request, and what becomes of it."""

    request: Request
    livemode: bool
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: Result | None = None
    failure: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.result is not None or self.failure is not None


class Combiner:
    """The waiting calls of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._is_led = False

    def take(self, request: Request, *, livemode: bool) -> Result:
        """Take one request, together with whatever else is waiting.

        Inside a transaction of the caller's it goes to the engine alone. Raises: Busy when the
        answer is not there in 30 seconds; repeating with the same key is safe.
        """
        if connection.in_atomic_block:
            return engine.execute([request], livemode=livemode)[0]
        call = _Call(request, livemode)
        with self._lock:
            self._waiting.append(call)
            call.leads = not self._is_led
            self._is_led = True
        if not call.leads and not call.woken.wait(WAIT_SECONDS):
            self._give_up(call)
        if call.leads:
            self._lead(call)
        if call.failure is not None:
            raise call.failure
        assert call.result is not None, "a call that was woken has its result"
        return call.result

    def _give_up(self, call: _Call) -> None:
        with self._lock:
            if call.woken.is_set():
                return
            if call in self._waiting:
                self._waiting.remove(call)
        raise Busy("The request waits for others; send it again with the same key.")

    def _lead(self, call: _Call) -> None:
        """Run lists until the own call is done, then wake the next leader."""
        try:
            while not call.is_done:
                self._run(self._take(call.livemode))
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._is_led = successor is not None
                if successor is not None:
                    successor.leads = True
                    successor.woken.set()

    def _take(self, livemode: bool) -> list[_Call]:  # noqa: FBT001
        """Take the next list: what waits for this mode, in order."""
        with self._lock:
            taken = [call for call in self._waiting if call.livemode == livemode][:MAX_LIST]
            chosen = set(map(id, taken))
            self._waiting = deque(call for call in self._waiting if id(call) not in chosen)
        return taken

    def _run(self, calls: Sequence[_Call]) -> None:
        try:
            results = engine.execute([c.request for c in calls], livemode=calls[0].livemode)
        except Exception as error:
            self._run_one_by_one(calls, error)
        else:
            for call, result in zip(calls, results, strict=True):
                call.result = result
        for call in calls:
            call.woken.set()

    def _run_one_by_one(self, calls: Sequence[_Call], error: Exception) -> None:
        """Find out which call the list failed of; a list of one has its answer already."""
        if len(calls) == 1:
            calls[0].failure = error
            return
        for call in calls:
            try:
                (call.result,) = engine.execute([call.request], livemode=call.livemode)
            except Exception as failed:
                call.failure = failed


COMBINER = Combiner()
