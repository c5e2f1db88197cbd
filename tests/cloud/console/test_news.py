"""What waits for a browser that reads slowly."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.console.news import NEWEST_COUNTS, News
from voxloop_proto.errors import OverloadError

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(["level", "started", "hypothesis", "ended", "transcript"]),
            "segment": st.integers(1, 3),
            "place": st.integers(),
        }
    ),
    max_size=60,
)


def taken(news: News) -> list[dict[str, object]]:
    async def take_all() -> list[dict[str, object]]:
        news.close()
        found = []
        while (event := await news.take()) is not None:
            found.append(json.loads(event))
        return found

    return asyncio.run(take_all())


@given(EVENTS)
def test_all_that_matters_is_told_in_its_order_and_of_the_rest_the_newest(events: list[dict[str, object]]) -> None:
    news = News()
    for event in events:
        news.add(event)
    told = taken(news)
    kept = [event for event in events if event["event"] not in NEWEST_COUNTS]
    assert [event for event in told if event["event"] not in NEWEST_COUNTS] == kept
    newest = {(event["event"], event["segment"]): event for event in events if event["event"] in NEWEST_COUNTS}
    assert {(e["event"], e["segment"]): e for e in told if e["event"] in NEWEST_COUNTS} == newest
    assert len(told) == len(kept) + len(newest)


def test_a_thousand_levels_wait_as_one() -> None:
    news = News(most=2)
    for place in range(1_000):
        news.add({"event": "level", "dbfs": -float(place)})
    assert taken(news) == [{"event": "level", "dbfs": -999.0}]


def test_more_text_than_may_wait_is_an_error_and_none_is_left_out_unsaid() -> None:
    news = News(most=2)
    for segment in (1, 2):
        news.add({"event": "transcript", "segment": segment})
    with pytest.raises(OverloadError, match="2 events wait for this browser"):
        news.add({"event": "transcript", "segment": 3})
