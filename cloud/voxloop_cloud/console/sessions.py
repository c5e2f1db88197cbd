"""Who is signed in: a bounded number of people, each until a time. Pure: time is an argument."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from voxloop_cloud.security.rate_limit import Bucket

MOST_SESSIONS: Final = 1_000
MOST_ADDRESSES: Final = 1_000
TRIES_PER_MINUTE: Final = 10
ALL_TRIES_PER_MINUTE: Final = 120


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One person at one browser. csrf: what each of its forms carries. until_s: monotonic seconds."""

    name: str
    csrf: str
    until_s: float

    def made(self, csrf: str) -> bool:
        """Whether a form is one that this console gave this browser."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "replace"))


class Sessions:
    """By the cookie, of which only a digest is kept. Beyond MOST_SESSIONS the oldest one ends."""

    def __init__(self, lifetime_s: float) -> None:
        self._lifetime_s = lifetime_s
        self._open: OrderedDict[bytes, SignedIn] = OrderedDict()

    def begin(self, name: str, now_s: float) -> str:
        """Signs somebody in; gives the cookie."""
        cookie = secrets.token_urlsafe(32)
        self._open[_digest(cookie)] = SignedIn(name, secrets.token_urlsafe(24), now_s + self._lifetime_s)
        while len(self._open) > MOST_SESSIONS:
            self._open.popitem(last=False)
        return cookie

    def find(self, cookie: str | None, now_s: float) -> SignedIn | None:
        """Whose cookie it is; None if it is nobody's (any more)."""
        found = self._open.get(_digest(cookie)) if cookie else None
        return found if found is not None and now_s < found.until_s else None

    def end_of(self, user: SignedIn) -> None:
        """Signs somebody out, at this browser."""
        self._open = OrderedDict((digest, each) for digest, each in self._open.items() if each is not user)


class Tries:
    """How often one address, and all together, may fail to sign in."""

    def __init__(self) -> None:
        self._all: Bucket | None = None
        self._by_address: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now_s: float) -> int:
        """Counts a try; gives the time to wait in ms before it may be made, 0 if it may be now."""
        self._all = self._all or Bucket(ALL_TRIES_PER_MINUTE, ALL_TRIES_PER_MINUTE, now_s)
        one = self._by_address.setdefault(address, Bucket(TRIES_PER_MINUTE, TRIES_PER_MINUTE, now_s))
        self._by_address.move_to_end(address)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        for bucket in (self._all, one):
            bucket.fill(now_s)
            if bucket.level < 1.0:
                return int((1.0 - bucket.level) * 60_000.0 / bucket.per_minute) + 1
        self._all.spend(1)
        one.spend(1)
        return 0

    def give_back(self, address: str) -> None:
        """The last try was right, so it was no guess: whoever signs in often is not held up."""
        for bucket in filter(None, (self._all, self._by_address.get(address))):
            bucket.spend(-1)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "replace")).digest()
