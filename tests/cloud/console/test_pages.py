"""What the pages show and change, over a real store."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select
from tests.cloud.console.conftest import Browser

from voxloop_cloud.alarms.threshold_log import change_threshold, threshold_changes
from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.sources import Sources
from voxloop_cloud.records.clip import to_flac
from voxloop_cloud.records.record_store import write_records
from voxloop_cloud.records.testing import BUNDLES, NOON_S, fill, many_records, some_heard, some_hello
from voxloop_cloud.records.utterance import UtteranceRecord, make_record
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_store import PolicyStore
from voxloop_cloud.store.tables import ALARMS, DRIFTS, LABELS, POLICIES, REVIEWS, SHADOWS, TAGS, VERDICTS

HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=alert(1)> {{ 7 * 7 }} ' &amp;"


def record(sources: Sources, text: str = "turn the lights on", **changes: object) -> UtteranceRecord:
    """An utterance with its sound, in the store."""
    heard = some_heard(some_hello(keep_audio=True, keep_text=True), text=text)
    assert sources.clips is not None
    sources.clips.put("clips/1.flac", to_flac(heard.sound))
    found = replace(make_record(heard, "clips/1.flac"), **changes)  # type: ignore[arg-type]
    write_records(sources.engine, [found])
    return found


def row_of(engine: Engine, table: object) -> object:
    with engine.connect() as connection:
        return connection.execute(select(table)).one()  # type: ignore[call-overload]


def test_what_somebody_said_is_never_markup(sources: Sources, browser: Browser) -> None:
    record(sources, HOSTILE, device_id=HOSTILE[:60], device_kind=HOSTILE, app_version=HOSTILE, bundle=HOSTILE)
    with sources.engine.begin() as connection:
        shadow = {
            "is_null": False,
            "confidence": 0.5,
            "busy_ms": 1.0,
            "disagreement_errors": 1,
            "disagreement_words": 1,
        }
        connection.execute(insert(SHADOWS).values(utterance_id=1, bundle=HOSTILE, text=HOSTILE + " x", **shadow))
        label = {"text": HOSTILE, "author": HOSTILE[:60], "created_s": NOON_S, "source": "device"}
        connection.execute(insert(LABELS).values(utterance_id=1, **label))
    for path in ("/utterances", "/utterances/1", "/utterances/facets", "/devices/list?span=month", "/deployments"):
        text = browser.get(path)
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
    assert "{{ 7 * 7 }}" in browser.get("/utterances/1")
    assert html.escape("<script>alert(1)</script>") in browser.get("/utterances/1")


def test_a_hostile_search_is_given_back_as_text(browser: Browser) -> None:
    text = browser.client.get("/utterances", params={"text": HOSTILE, "bundle": HOSTILE}).text
    assert "<script>alert" not in text
    assert "<img src=x" not in text


@pytest.fixture
def many(engine: Engine) -> None:
    fill(engine, many_records(400))


def test_pages_follow_each_other_without_gap_or_repeat(many: None, browser: Browser) -> None:
    path, seen = "/utterances", list[str]()
    while path:
        text = browser.get(path)
        seen += re.findall(r'<td class="text"><a href="/utterances/(\d+)"', text)
        more = re.search(r'href="(/utterances\?[^"]*after=[^"]+)"', text)
        path = html.unescape(more[1]) if more else ""
    assert len(seen) == 400
    assert len(set(seen)) == 400


def test_a_slice_narrows_the_list_and_the_counts(many: None, browser: Browser) -> None:
    text = browser.get("/utterances?device_kind=phone&locale=de-DE")
    assert "phone" in text
    counts = browser.get("/utterances/facets?device_kind=phone")
    assert "raspberry-pi-5" not in counts


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("most_confidence=much", "allowed is a number"),
        ("span=aeon", "allowed are hour"),
        ("after=x", "follow the link"),
    ],
)
def test_a_wrong_address_is_told(browser: Browser, query: str, says: str) -> None:
    assert says in browser.get(f"/utterances?{query}", 400)


def test_an_utterance_that_is_not_there_is_told(browser: Browser) -> None:
    assert "there is no utterance 7" in browser.get("/utterances/7", 404)
    assert "there is no utterance" in browser.get(f"/utterances/{1 << 70}", 404)


def test_one_utterance_with_all_that_is_known(sources: Sources, browser: Browser) -> None:
    record(sources)
    with sources.engine.begin() as connection:
        shadow = {
            "is_null": False,
            "confidence": 0.5,
            "busy_ms": 1.0,
            "disagreement_errors": 1,
            "disagreement_words": 4,
        }
        connection.execute(insert(SHADOWS).values(utterance_id=1, bundle="b@2", text="turn the light on", **shadow))
    text = browser.get("/utterances/1")
    assert "<del>lights</del>" in text
    assert "<ins>light</ins>" in text
    assert "recognizer: busy 6.00 ms, waiting 1.00 ms" in text
    assert "<path" in browser.get("/utterances/1/sound")
    assert browser.client.get("/utterances/1/spectrogram.png").content.startswith(b"\x89PNG")
    part = browser.client.get("/utterances/1/clip.flac", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"fLaC")


def test_sound_that_is_not_kept_is_told(sources: Sources, browser: Browser) -> None:
    write_records(sources.engine, [make_record(some_heard(some_hello(keep_text=True)))])
    assert "does not let its sound be kept" in browser.get("/utterances/1")
    assert "is not kept" in browser.get("/utterances/1/sound", 404)


def test_a_correction_becomes_a_label_with_its_author(sources: Sources, browser: Browser) -> None:
    record(sources)
    browser.post("/utterances/1/label", text="turn  the light\non")
    found = row_of(sources.engine, LABELS)
    assert (found.text, found.author, found.source) == ("turn the light on", "ada", "console")  # type: ignore[attr-defined]


def test_no_words_are_kept_of_a_device_that_does_not_let_them_be(sources: Sources, browser: Browser) -> None:
    write_records(sources.engine, [make_record(some_heard(some_hello(keep_audio=True)))])
    assert "does not let its words be kept" in browser.post("/utterances/1/label", 400, text="turn")


def test_tags_come_and_go(sources: Sources, browser: Browser) -> None:
    record(sources)
    for _ in range(2):
        browser.post("/utterances/1/tag", tag="noisy")
    assert row_of(sources.engine, TAGS).tag == "noisy"  # type: ignore[attr-defined]
    assert "/utterances/1" in browser.get("/utterances?tag=noisy")
    browser.post("/utterances/1/tag", 400, tag="no tag")
    browser.post("/utterances/1/untag", tag="noisy")
    assert "No utterance fits" in browser.get("/utterances?tag=noisy")


def test_a_review_goes_from_asking_to_an_answer(sources: Sources, browser: Browser) -> None:
    record(sources)
    browser.post("/utterances/1/review")
    assert "1 waits for a person" in browser.get("/reviews")
    browser.post("/reviews/claim")
    assert "turn the lights on</textarea>" in browser.get("/reviews")
    assert "an empty answer" in browser.post("/reviews/1/answer", 400, text=" ")
    browser.post("/reviews/1/answer", text="turn the light on")
    assert row_of(sources.engine, REVIEWS).state == "answered"  # type: ignore[attr-defined]
    assert row_of(sources.engine, LABELS).source == "review"  # type: ignore[attr-defined]
    assert "nothing waits" in browser.post("/reviews/claim", 400)


def test_a_claim_is_one_persons(sources: Sources, browser: Browser, stranger: Browser) -> None:
    record(sources)
    browser.post("/utterances/1/review")
    browser.post("/reviews/claim")
    assert stranger.sign_in("bob") == 303
    assert "bob&#39;s" in stranger.post("/reviews/1/answer", 400, text="mine")
    browser.post("/reviews/1/release")
    stranger.post("/reviews/claim")


@pytest.fixture
def policies(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> PolicyStore:
    """A policy in force, over bundles that are all here and audited."""
    monkeypatch.setattr("voxloop_cloud.routing.policy_change._forced", lambda *_: [])
    store = PolicyStore(engine)
    store.begin(Policy.of_one(BUNDLES[0]), NOON_S)
    return store


def hidden(text: str) -> dict[str, str]:
    """The fields of the confirmation."""
    found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text))
    return {name: html.unescape(value) for name, value in found.items() if name != "csrf"}


def test_a_step_is_shown_confirmed_and_kept_with_its_reason(policies: PolicyStore, browser: Browser) -> None:
    text = browser.post("/deployments/preview", 200, step="canary", bundle=BUNDLES[1], percent="5", reason="try it")
    assert f"{BUNDLES[1]} 5 %" in text
    assert policies.newest_version() == 1
    browser.post("/deployments/change", 303, **hidden(text))
    newest = policies.newest()
    assert newest is not None
    assert (newest.version, newest.author, newest.reason) == (2, "ada", "try it")
    assert newest.policy.weights[BUNDLES[1]] == pytest.approx(0.05)
    assert "canary" in browser.get("/deployments")
    text = browser.post("/deployments/preview", 200, step="rollback", reason="no good")
    browser.post("/deployments/change", 303, **hidden(text))
    newest = policies.newest()
    assert newest is not None
    assert newest.policy.weights == {BUNDLES[0]: 1.0}


def test_a_confirmation_that_was_overtaken_is_refused(policies: PolicyStore, browser: Browser) -> None:
    step = {"step": "promote", "bundle": BUNDLES[1], "reason": "better"}
    texts = [browser.post("/deployments/preview", 200, **step) for _ in range(2)]
    browser.post("/deployments/change", 303, **hidden(texts[0]))
    assert "somebody else has changed it" in browser.post("/deployments/change", 400, **hidden(texts[1]))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"step": "promote", "bundle": BUNDLES[1]}, "no reason"),
        ({"step": "dance", "reason": "why"}, "allowed are shadow"),
        ({"step": "canary", "bundle": BUNDLES[1], "percent": "500", "reason": "why"}, "allowed are 0 to 100"),
        ({"step": "canary", "bundle": "nonsense", "percent": "5", "reason": "why"}, "NAME@VERSION"),
        ({"step": "rollback", "reason": "why"}, "there is no step back"),
        ({"step": "rollback", "to": "9", "reason": "why"}, "there is no version 9"),
    ],
)
def test_a_step_that_cannot_be_is_told(
    policies: PolicyStore, browser: Browser, fields: dict[str, str], says: str
) -> None:
    assert says in html.unescape(browser.post("/deployments/preview", 400, **fields))
    assert policies.newest_version() == 1


def test_a_bundle_that_is_not_here_is_not_put_in_force(engine: Engine, sources: Sources, browser: Browser) -> None:
    PolicyStore(engine).begin(Policy.of_one(BUNDLES[0]), NOON_S)
    text = browser.post("/deployments/preview", 200, step="promote", bundle="nobody@1", reason="try it")
    assert "no bundle nobody@1 on this machine" in browser.post("/deployments/change", 400, **hidden(text))
    assert row_of(engine, POLICIES).version == 1  # type: ignore[attr-defined]


def test_verdicts_alarms_and_drift_are_those_of_the_store(
    policies: PolicyStore, sources: Sources, browser: Browser
) -> None:
    now_s = sources.now_s()
    with sources.engine.begin() as connection:
        verdict = {"bundle": BUNDLES[1], "against": BUNDLES[0], "kind": "hold", "policy_version": 1}
        connection.execute(insert(VERDICTS).values(created_s=now_s, evidence={"n": 3}, text="too few", **verdict))
        alarm = {"rule": "null_transcripts", "severity": "page", "value": 0.5, "threshold": 0.3}
        connection.execute(insert(ALARMS).values(fired_s=now_s, labels={"bundle": "b@1"}, **alarm))
        drift = {"metric": "snr_db", "stage": "capture", "slice": "all", "against": "last week", "kind": "sudden"}
        report = {"sentence": "snr_db fell", "blame": {"stage": "capture", "reason": "it did"}, "ks": 0.3}
        connection.execute(insert(DRIFTS).values(found_s=now_s, effect=1.2, report=report, **drift))
    assert "too few" in browser.get("/deployments")
    assert "1 stands" in browser.get("/alarms")
    assert 'class="stage page"' in browser.get("/pipeline")
    assert "snr_db fell" in browser.get("/drift")


def test_devices_are_counted_by_what_they_sent(sources: Sources, browser: Browser) -> None:
    record(sources, arrived_s=sources.now_s() - 60.0)
    assert "kitchen" in browser.get("/devices/list?span=hour")
    record(sources, arrived_s=sources.now_s() - 7_200.0, segment_id=2, device_id="attic")
    assert "attic" not in browser.get("/devices/list?span=hour")
    assert "attic" in browser.get("/devices/list?span=day")


def test_who_changed_a_threshold_and_why_is_kept_as_by_the_command(
    sources: Sources, config: ConsoleConfig, tmp_path: Path
) -> None:
    rules = tmp_path / "alarms.toml"
    change_threshold(sources.engine, rules, "slow_answers", 0.4, None, "command", "far away", 10.0)
    browser = Browser(replace(sources, config=config.model_copy(update={"rules": rules})))
    browser.sign_in("ada")
    browser.post("/alarms/slow_answers/threshold", threshold="0.3", reason=" less far ")
    newest, before = threshold_changes(sources.engine)
    assert (newest.author, newest.reason, newest.before, newest.after) == ("ada", "less far", 0.4, 0.3)
    assert (before.author, before.after) == ("command", 0.4)
    assert "less far" in browser.get("/alarms")
    assert "a threshold and a reason" in browser.post("/alarms/slow_answers/threshold", 400, threshold="0.2")
