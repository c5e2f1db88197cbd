"""Tokens: what is kept of them, which ones count, and what a stranger can learn."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloop_cloud.security import tokens
from voxloop_cloud.security.tokens import TokenBook, TokenRecord, make_token
from voxloop_proto.errors import ConfigError, UnauthenticatedError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def issued(device_id: str = "kitchen", lifetime: timedelta = YEAR) -> tuple[str, TokenRecord, TokenBook]:
    text, record = make_token(device_id, NOW, lifetime)
    return text, record, TokenBook().add(record, NOW)


def test_a_token_is_known_by_what_it_was_issued_as_and_by_nothing_else() -> None:
    text, record, book = issued()
    assert book.check(text, NOW) == record
    other = make_token("hall", NOW, YEAR)[0]
    swapped = f"voxloop_{record.id}_{other.rpartition('_')[2]}"
    for wrong in ("", "voxloop", text[:-1], text + "a", text.upper(), f" {text}", other, swapped, f"{text}\n"):
        with pytest.raises(UnauthenticatedError, match="not one of this server's"):
            book.check(wrong, NOW)


@given(st.text(max_size=100))
def test_no_text_is_taken_for_a_token_or_is_more_than_refused(text: str) -> None:
    with pytest.raises(UnauthenticatedError, match="not one of this server's") as refused:
        issued()[2].check(text, NOW)
    assert len(text) < 8 or text not in refused.value.message


def test_the_book_holds_no_secret() -> None:
    text, record, book = issued()
    secret = text.split("_", 2)[2]
    assert len(secret) == 43  # 256 bits
    assert secret not in book.model_dump_json()
    assert record.id in book.model_dump_json()


def test_no_two_tokens_are_alike() -> None:
    assert len({make_token("kitchen", NOW, YEAR)[0] for _ in range(1_000)}) == 1_000


def test_a_token_ends() -> None:
    text, _, book = issued(lifetime=timedelta(days=1))
    book.check(text, NOW + timedelta(hours=23, minutes=59))
    with pytest.raises(UnauthenticatedError, match="the token of kitchen ended on 2026-01-02 00:00 UTC"):
        book.check(text, NOW + timedelta(days=1))


def test_an_old_token_counts_beside_the_new_one_for_its_time_of_grace() -> None:
    old, _, book = issued()
    new, record = make_token("kitchen", NOW, YEAR)
    book = book.end(lambda known: known.device_id == "kitchen", NOW + timedelta(hours=24), NOW).add(record, NOW)
    for text in (old, new):
        book.check(text, NOW + timedelta(hours=23))
    book.check(new, NOW + timedelta(hours=25))
    with pytest.raises(UnauthenticatedError, match="was revoked on 2026-01-02"):
        book.check(old, NOW + timedelta(hours=25))


def test_a_revoked_token_stays_revoked_and_says_so_to_its_owner() -> None:
    text, record, book = issued()
    other, other_record = make_token("hall", NOW, YEAR)
    book = book.add(other_record, NOW).end(lambda known: known.id == record.id, NOW, NOW)
    with pytest.raises(UnauthenticatedError, match="the token of kitchen was revoked"):
        book.check(text, NOW)
    book.check(other, NOW)
    assert [known.device_id for known in book.tokens if not known.why_not(NOW)] == ["hall"]
    assert book.of("kitchen", NOW) == []


def test_revoking_in_the_time_of_grace_ends_it_now_and_never_makes_it_longer() -> None:
    text, record, book = issued()
    book = book.end(lambda known: known == record, NOW + timedelta(hours=24), NOW)
    longer = book.end(lambda known: True, NOW + timedelta(days=9), NOW)
    with pytest.raises(UnauthenticatedError):
        longer.check(text, NOW + timedelta(hours=25))
    with pytest.raises(UnauthenticatedError):
        book.end(lambda known: True, NOW, NOW).check(text, NOW)


def test_tokens_that_ended_long_ago_are_forgotten_and_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, book = issued(lifetime=timedelta(days=1))
    later = NOW + timedelta(days=100)
    assert [known.device_id for known in book.add(make_token("hall", later, YEAR)[1], later).tokens] == ["hall"]
    monkeypatch.setattr(tokens, "MAX_TOKENS", 1)
    with pytest.raises(ConfigError, match="the most allowed"):
        book.add(make_token("hall", NOW, YEAR)[1], NOW)
