"""The choice: the same device, the same bundle; shares as asked for; no device moves that need not."""

import json
import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from voxloop_cloud.routing.policy import Mode, Policy, Route, Shadow, choose, listens, read_policy
from voxloop_cloud.routing.slices import Slices
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb

OLD, NEW, THIRD = "voxloop-en@1.0", "voxloop-en@2.0", "other@0.1"
ANYWHERE = Slices()
DEVICES = [f"device-{number}" for number in range(5_000)]
CONFIDENCE = 0.9999

device_ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=64)
weights = st.dictionaries(
    st.sampled_from([OLD, NEW, THIRD, "more@1", "yet@1"]), st.floats(1e-6, 1e6), min_size=1, max_size=5
)


def policy(of: dict[str, float], **more: object) -> Policy:
    return Policy.model_validate({"primary": next(iter(of)), "weights": of} | more)


def bundle_of(of: dict[str, float], device_id: str) -> str:
    return choose(policy(of), device_id, ANYWHERE).bundle


@given(of=weights, device_id=device_ids)
def test_the_same_device_gets_the_same_bundle_however_the_weights_are_written(
    of: dict[str, float], device_id: str
) -> None:
    found = bundle_of(of, device_id)
    assert found in of
    assert bundle_of(dict(reversed(of.items())), device_id) == found
    assert bundle_of({bundle: weight * 0.5 for bundle, weight in of.items()}, device_id) == found


@given(of=weights, device_id=device_ids, factor=st.floats(1.0, 1e3), data=st.data())
def test_a_weight_that_grows_only_draws_devices_to_its_bundle(
    of: dict[str, float], device_id: str, factor: float, data: st.DataObject
) -> None:
    grown = data.draw(st.sampled_from(sorted(of)))
    before = bundle_of(of, device_id)
    after = bundle_of(of | {grown: min(1e6, of[grown] * factor)}, device_id)
    assert after in (before, grown)


@given(of=weights, device_id=device_ids, data=st.data())
def test_a_bundle_that_is_taken_away_moves_its_own_devices_alone(
    of: dict[str, float], device_id: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(sorted(of)))
    left = {bundle: weight for bundle, weight in of.items() if bundle != gone}
    before = bundle_of(of, device_id)
    if left and before != gone:
        assert bundle_of(left, device_id) == before


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.9])
def test_the_share_of_the_devices_is_within_the_binomial_interval(share: float) -> None:
    found = Counter(bundle_of({OLD: 1.0 - share, NEW: share}, device) for device in DEVICES)
    interval = binomtest(found[NEW], len(DEVICES)).proportion_ci(CONFIDENCE)
    assert interval.low < share < interval.high


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from([OLD, NEW, THIRD]), st.floats(0.1, 10.0), min_size=3, max_size=3))
def test_shares_follow_the_weights_of_many_bundles(of: dict[str, float]) -> None:
    found = Counter(bundle_of(of, device) for device in DEVICES[:1_000])
    for bundle, weight in of.items():
        share = weight / sum(of.values())
        spread = math.sqrt(1_000 * share * (1.0 - share))
        assert abs(found[bundle] - share * 1_000) < 5.5 * spread


def test_a_ramp_moves_no_more_devices_than_the_share_grows() -> None:
    steps = [{OLD: 1.0 - share, NEW: share} for share in (0.05, 0.25, 0.5, 0.95)]
    chosen = [[bundle_of(of, device) for device in DEVICES] for of in steps]
    for before, after in pairwise(chosen):
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert set(moved) == {(OLD, NEW)}
        assert len(moved) == after.count(NEW) - before.count(NEW)


def test_two_canaries_do_not_meet_the_same_devices() -> None:
    """Whoever had the last experiment is no likelier than others to have the next."""
    first = {device for device in DEVICES if bundle_of({OLD: 0.9, NEW: 0.1}, device) == NEW}
    second = {device for device in DEVICES if bundle_of({OLD: 0.9, THIRD: 0.1}, device) == THIRD}
    expected = len(first) * len(second) / len(DEVICES)
    assert abs(len(first & second) - expected) < 5.0 * math.sqrt(expected)


def test_the_first_override_that_fits_counts_for_what_it_says() -> None:
    rules = [
        {"slice": {"device_kind": "pi", "locale": "de-DE"}, "weights": {THIRD: 1.0}},
        {"slice": {"device_kind": "pi"}, "weights": {NEW: 1.0}, "automation": {"mode": "human"}},
        {"slice": {"vad_kind": "none"}, "automation": {"mode": "partial", "least_confidence": 0.8}},
    ]
    found = policy({OLD: 1.0}, overrides=rules)
    assert choose(found, "d", ANYWHERE).bundle == OLD
    both = choose(found, "d", Slices(device_kind="pi", vad_kind="none"))
    assert (both.bundle, both.route, both.automation.mode) == (NEW, Route.CANARY, Mode.HUMAN)
    german = choose(found, "d", Slices(device_kind="pi", locale="de-DE"))
    assert (german.bundle, german.automation.mode) == (THIRD, Mode.HUMAN)
    assert choose(found, "d", Slices(vad_kind="none")).automation.least_confidence == 0.8


def test_slices_are_what_a_device_says_in_its_hello() -> None:
    hello = pb.Hello(device_kind="pi", app_version="app/1", locale="en-US", vad=pb.VadSettings(kind="webrtc"))
    assert Slices.of(hello) == Slices("pi", "webrtc", "app/1", "en-US")


def test_a_bundle_does_not_listen_in_on_itself() -> None:
    found = policy({OLD: 0.5, NEW: 0.5}, shadows=[{"bundle": NEW}, {"bundle": THIRD, "share": 0.3}])
    listening = {choose(found, device, ANYWHERE).bundle: choose(found, device, ANYWHERE).shadows for device in DEVICES}
    assert [each.bundle for each in listening[OLD]] == [NEW, THIRD]
    assert [each.bundle for each in listening[NEW]] == [THIRD]


def test_a_shadow_hears_its_share_of_the_segments_and_always_the_same() -> None:
    third = Shadow(bundle=THIRD, share=0.3)
    heard = [listens(third, "session", number) for number in range(5_000)]
    interval = binomtest(sum(heard), len(heard)).proportion_ci(CONFIDENCE)
    assert interval.low < 0.3 < interval.high
    assert heard == [listens(third, "session", number) for number in range(5_000)]
    assert all(listens(Shadow(bundle=THIRD), "s", number) for number in range(100))


@given(of=weights, share=st.floats(0.01, 1.0))
def test_a_policy_survives_its_document(of: dict[str, float], share: float) -> None:
    whole = policy(of, shadows=[{"bundle": "listener@1", "share": share}], standby=["spare@1"])
    assert read_policy(json.dumps(whole.to_document())) == whole
    assert whole.bundles == {*of, "listener@1", "spare@1"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "is not JSON"),
        ("[" * 10_000, "is not JSON"),
        ("[]", "is a list; allowed is an object"),
        (" " * 70_000, "70000 characters; allowed are 65536"),
        ('{"primary": "a@1"}', "weights"),
        ('{"primary": "a 1", "weights": {"a@1": 1}}', "primary = 'a 1'"),
        ('{"primary": "a@1", "weights": {"a": 1}}', "NAME@VERSION"),
        ('{"primary": "a@1", "weights": {"a@1": 0}}', "greater than 0"),
        ('{"primary": "a@1", "weights": {"a@1": 1e400}}', "weights"),
        ('{"primary": "a@1", "weights": {}}', "at least 1 item"),
        ('{"primary": "a@1", "weights": {"a@1": 1}, "canary": 1}', "allowed here: automation, overrides, primary"),
        ('{"primary": "a@1", "weights": {"a@1": 1}, "automation": {"mode": "robot"}}', "'human', 'shadow'"),
        ('{"primary": "a@1", "weights": {"a@1": 1}, "automation": {"mode": "partial"}}', "least_confidence belongs"),
        ('{"primary": "a@1", "weights": {"a@1": 1}, "overrides": [{"slice": {}}]}', "at least one of device_kind"),
        (
            '{"primary": "a@1", "weights": {"a@1": 1}, "overrides": [{"slice": {"locale": "en"}}]}',
            "weights, automation or both",
        ),
        (
            '{"primary": "a@1", "weights": {"a@1": 1}, "shadows": [{"bundle": "b@1"}, {"bundle": "b@1"}]}',
            "more than once",
        ),
        (
            '{"primary": "a@1", "weights": {"a@1": 1}, "standby": ["b@1","b@2","b@3","b@4","b@5","b@6","b@7","b@8"]}',
            "9 bundles are named",
        ),
    ],
)
def test_what_is_no_policy_is_refused_with_what_is_allowed(document: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_policy(document)
    assert said in refused.value.message
