"""Stream a call of a language model that is paid for as it is served.

A block of tokens is held before the provider is called and extended before it is used up; where no
more is covered the stream ends, and what was served is captured. If this program dies, the hold
ends by itself after SECONDS.

    AFORO_URL=... AFORO_KEY=sk_... PROVIDER_URL=... python streaming_call.py CUSTOMER CALL PROMPT

CALL is the call's own id: a second run of the same call is not charged twice.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import httpx

BLOCK = 200  # How many tokens are held at a time.
LARGEST_CHUNK = 50  # The provider sends no more tokens at once.
SECONDS = 120


class NotCovered(Exception):
    """Credits do not cover what was asked for; `problem` says what would help."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class Hold:
    """Tokens of a customer that are set aside for one call."""

    def __init__(self, aforo: httpx.Client, customer: str, call: str) -> None:
        self.aforo, self.call, self.extended, self.used = aforo, call, 0, 0
        body = {"customer_id": customer, "metric": "tokens", "quantity": BLOCK}
        made = self._post("/v1/usage/reserve", "hold", body | {"expires_in": SECONDS})
        self.address, self.tokens = f"/v1/wallets/reservations/{made['id']}", BLOCK

    def extend(self) -> None:
        """Extend the lease by a block, for another while."""
        self.extended += 1
        body = {"quantity": BLOCK, "expires_in": SECONDS}
        self._post(f"{self.address}/extend", f"extend-{self.extended}", body)
        self.tokens += BLOCK

    def end(self) -> Any:
        """Charge what was used, and release the rest."""
        if self.used == 0:
            return self._post(f"{self.address}/void", "end", {})
        return self._post(f"{self.address}/capture", "end", {"quantity": self.used})

    def _post(self, path: str, step: str, body: dict[str, Any]) -> Any:
        """Send a step of the call until it is answered: its key makes a repeat safe."""
        for wait in (1, 2, 4, 8, 0):
            try:
                answer = self.aforo.post(
                    path, json=body | {"idempotency_key": f"{self.call}-{step}"}
                )
            except httpx.TransportError:
                if wait == 0:
                    raise
            else:
                if answer.status_code == 402:
                    raise NotCovered(answer.json())
                if answer.status_code != 503 or wait == 0:
                    return answer.raise_for_status().json()
            time.sleep(wait)
        raise AssertionError("The last attempt has returned or raised.")


def stream(hold: Hold, provider: str, prompt: str) -> bool:
    """Print what the provider sends, as far as it is covered; return whether that was all."""
    with httpx.stream("POST", provider, json={"prompt": prompt}, timeout=60) as answer:
        for line in answer.raise_for_status().iter_lines():
            chunk = json.loads(line)
            hold.used += chunk["tokens"]
            print(chunk["text"], end="", flush=True)
            if hold.used + LARGEST_CHUNK > hold.tokens:
                try:
                    hold.extend()
                except NotCovered as refusal:
                    # Leaving the block closes the connection: the provider stops, too.
                    print(f"\nStopped: {refusal} {refusal.problem['offers']}", file=sys.stderr)
                    return False
    return True


def main() -> int:
    """Serve one call."""
    customer, call, prompt = sys.argv[1:]
    key = {"Authorization": f"Bearer {os.environ['AFORO_KEY']}"}
    with httpx.Client(base_url=os.environ["AFORO_URL"], headers=key, timeout=30) as aforo:
        try:
            hold = Hold(aforo, customer, call)
        except NotCovered as refusal:
            print(f"Refused: {refusal} {refusal.problem['offers']}", file=sys.stderr)
            return 2
        try:
            is_whole = stream(hold, os.environ["PROVIDER_URL"], prompt)
        finally:
            # Also where the provider failed half-way: what was served is charged.
            paid = hold.end()
    print()
    print(json.dumps({"tokens": hold.used, "paid": paid.get("amount"), "whole": is_whole}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
