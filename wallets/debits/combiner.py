"""Concurrent calls that meet in a process go to the engine together.

One caller leads: it runs the waiting calls as one list and passes the lead on; the others wait for
its commit. So a hot wallet gets faster under load. No answer leaves before the commit, and a list
that fails is run again one by one, so that one request never fails its neighbours.

The common lane never waits for a lock: calls of a customer whom others have locked go to a lane of
their own, whose leader waits, so that nobody else is held up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from django.db import connection

from aforo.errors import Busy
from wallets import port
from wallets.debits import engine
from wallets.debits.engine import NeedsRenewal, Request, Result
from wallets.debits.engine.pricing import OpenPricing
from wallets.debits.engine.requests import CustomerRequest

MAX_LIST = 500
WAIT_SECONDS = 30


@dataclass(slots=True, eq=False)
class _Lane:
    """Calls that wait for the same leader; `waits` says whether it waits for locks."""

    waits: bool
    waiting: deque[_Call] = field(default_factory=deque)
    is_led: bool = False


@dataclass(slots=True, eq=False)
class _Call:
    """One caller: its request, and its result."""

    request: Request
    livemode: bool
    lane: _Lane
    renewed: Collection[int] = ()
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    has_left: bool = False
    # Whose reservation it is, once a list has found its customer locked.
    customer_id: str | None = None
    result: Result | None = None
    failure: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.result is not None or self.failure is not None

    @property
    def whose(self) -> tuple[bool, object]:
        """Return what distinguishes the calls of different customers."""
        asked = self.request
        if isinstance(asked, CustomerRequest):
            return self.livemode, asked.customer_id
        return self.livemode, self.customer_id or asked.reservation


class Combiner:
    """The waiting calls of this process that may go to one list; calls of usage need `pricing`."""

    def __init__(self, pricing: OpenPricing | None = None) -> None:
        self._pricing = pricing
        self._lock = threading.Lock()
        self._common = _Lane(waits=False)
        self._own: dict[tuple[bool, object], _Lane] = {}

    def execute(self, request: Request, *, livemode: bool) -> Result:
        """Execute one request, together with the others that wait.

        Inside a transaction of the caller's it goes to the engine alone. Where a cycle of the
        customer is over, the next begins first, in the caller's own thread, and the request is
        executed again, once. Raises: Busy when the answer is not there in 30 seconds; repeating
        with the same key is safe.
        """
        if connection.in_atomic_block:
            return execute_list([request], livemode=livemode, pricing=self._pricing)[0]
        result = self._take_once(_Call(request, livemode, self._common))
        if isinstance(result, NeedsRenewal):
            port.billing().renew(result.book_id)
            renewed = (result.book_id,)
            result = self._take_once(_Call(request, livemode, self._common, renewed))
        return result

    def _take_once(self, call: _Call) -> Result:
        with self._lock:
            self._queue(call, self._own.get(call.whose, self._common))
        while not call.is_done:
            if call.leads:
                self._lead(call)
            elif not call.woken.wait(WAIT_SECONDS):
                self._give_up(call)
        if call.failure is not None:
            raise call.failure
        assert call.result is not None, "a call that is done has its result"
        return call.result

    def _queue(self, call: _Call, lane: _Lane) -> None:
        """Queue a call in a lane, which it leads where nobody does. The caller holds the lock."""
        call.lane, call.leads = lane, not lane.is_led
        lane.waiting.append(call)
        lane.is_led = True
        if call.leads:
            call.woken.set()
        else:
            call.woken.clear()

    def _give_up(self, call: _Call) -> None:
        with self._lock:
            if call.woken.is_set():
                return
            call.has_left = True
            if call in call.lane.waiting:
                call.lane.waiting.remove(call)
        raise Busy("The request waits for others; send it again with the same key.")

    def _lead(self, call: _Call) -> None:
        """Run lists until the leader's own call is done or moved to another lane, then wake the
        next leader.
        """
        lane = call.lane
        try:
            while not call.is_done and call.lane is lane:
                self._run(lane, self._take(lane, call.livemode))
        finally:
            with self._lock:
                successor = lane.waiting[0] if lane.waiting else None
                lane.is_led = successor is not None
                if successor is not None:
                    successor.leads = True
                    successor.woken.set()
                elif self._own.get(call.whose) is lane:
                    del self._own[call.whose]

    def _take(self, lane: _Lane, livemode: bool) -> list[_Call]:  # noqa: FBT001
        """Remove the next list from the queue and return it: the calls of this mode, in order."""
        with self._lock:
            taken = [call for call in lane.waiting if call.livemode == livemode][:MAX_LIST]
            chosen = set(map(id, taken))
            lane.waiting = deque(call for call in lane.waiting if id(call) not in chosen)
        return taken

    def _run(self, lane: _Lane, calls: Sequence[_Call]) -> None:
        try:
            self._execute(lane, calls)
        except Busy as busy:
            for call in calls:
                call.failure = Busy(busy.detail)
        except Exception as error:
            self._run_one_by_one(lane, calls, error)
        for call in calls:
            if call.is_done:
                call.woken.set()

    def _execute(self, lane: _Lane, calls: Sequence[_Call]) -> None:
        """Set the results of the calls; calls of a locked customer move to a lane of their own."""
        results = engine.execute(
            [call.request for call in calls],
            livemode=calls[0].livemode,
            wait=lane.waits,
            renewed={book_id for call in calls for book_id in call.renewed},
            pricing=self._pricing,
        )
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, engine.CustomerBusy) and not call.has_left:
                with self._lock:
                    call.customer_id = result.customer_id
                    self._queue(call, self._own.setdefault(call.whose, _Lane(waits=True)))
            else:
                call.result = result

    def _run_one_by_one(self, lane: _Lane, calls: Sequence[_Call], error: Exception) -> None:
        """Run each call of a failed list alone, so that only those that fail carry the error."""
        if len(calls) == 1:
            calls[0].failure = error
            return
        for call in calls:
            try:
                self._execute(lane, [call])
            except Exception as failed:
                call.failure = failed


def execute_list(
    requests: Sequence[Request], *, livemode: bool, pricing: OpenPricing | None = None
) -> list[Result]:
    """Execute a list of requests in one transaction, and those of customers whose cycle is over in
    a second one, once the next cycle has begun; return the results in order.

    Raises: Busy.
    """
    results = engine.execute(requests, livemode=livemode, pricing=pricing)
    again = [n for n, result in enumerate(results) if isinstance(result, NeedsRenewal)]
    needed = {result.book_id for result in results if isinstance(result, NeedsRenewal)}
    if not needed:
        return results
    for book_id in sorted(needed):
        port.billing().renew(book_id)
    taken = engine.execute(
        [requests[n] for n in again], livemode=livemode, renewed=needed, pricing=pricing
    )
    for n, result in zip(again, taken, strict=True):
        results[n] = result
    return results


COMBINER = Combiner()
