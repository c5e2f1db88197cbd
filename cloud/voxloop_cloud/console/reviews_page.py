"""The queue for people: one takes an utterance, hears it, and writes what was said."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from voxloop_cloud.console.page import Ask, back_to, page
from voxloop_proto.errors import ConfigError

LISTED: Final = 30


def _show(ask: Ask) -> Response:
    reviews = ask.sources.reviews
    listed = reviews.listed(most=LISTED)
    now_s = ask.sources.now_s()
    mine = reviews.claimed(ask.user.name, now_s)
    return ask.show("reviews.html", mine=mine, listed=listed, waiting=reviews.waiting(now_s))


def _claim(ask: Ask) -> Response:
    found = ask.sources.reviews.claim(ask.user.name, ask.sources.now_s(), ask.sources.config.claim_s)
    if found is None:
        raise ConfigError("nothing waits for a person any more; others were quicker")
    return back_to("/reviews")


def _answer(ask: Ask) -> Response:
    """Files the answer and takes the next, so that one goes on without a hand from the keyboard."""
    text = "" if ask.form.get("nothing") == "1" else " ".join(ask.form.get("text", "").replace("\x00", "").split())
    if not text and ask.form.get("nothing") != "1":
        raise ConfigError("an empty answer; if nothing was said, press 'Nothing was said'")
    now_s = ask.sources.now_s()
    ask.sources.reviews.answer(_id(ask), ask.user.name, text, now_s)
    ask.sources.reviews.claim(ask.user.name, now_s, ask.sources.config.claim_s)
    return back_to("/reviews")


def _release(ask: Ask) -> Response:
    ask.sources.reviews.release(_id(ask), ask.user.name)
    return back_to("/reviews")


def _id(ask: Ask) -> int:
    found: int = ask.path["review_id"]
    return min(found, 1 << 62)


_ONE: Final = "/reviews/{review_id:int}"
ROUTES: Final[tuple[Route, ...]] = (
    page("/reviews", _show),
    page("/reviews/claim", _claim, posts=True),
    page(f"{_ONE}/answer", _answer, posts=True),
    page(f"{_ONE}/release", _release, posts=True),
)
