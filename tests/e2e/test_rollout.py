"""A rollout with real servers: a degraded bundle is taken off, a better one promoted, by the guard alone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
import soundfile
from sqlalchemy import Engine, create_engine, insert, select
from tests.e2e.conftest import QUERIES, ServerProcess
from tests.e2e.degraded_bundle import degraded_bundle
from tests.e2e.rollout_server import client, put, serving

from voxloop_cloud.bundle import default_bundle_path, load_bundle
from voxloop_cloud.rollout.guard import AUTHOR
from voxloop_cloud.routing.policy import Policy, read_policy
from voxloop_cloud.routing.policy_steps import with_shadow
from voxloop_cloud.store.database import writing
from voxloop_cloud.store.store_config import DATABASE_FILE, sqlite_url
from voxloop_cloud.store.tables import LABELS, UTTERANCES
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import admin_pb2
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

NOISE, LESS_NOISE = 0.5, 0.4
DEGRADED, WORSE = "degraded@1", "worse@1"
MOST_S = 300.0
CHUNK_BYTES = 32_000
AUDIBLE = 0.01
EDGE_SAMPLES = 3_200  # 200 ms before and after
MOST_SAMPLES = 3 * SAMPLE_RATE_HZ
SETTINGS = """
[rollout]
promotes = true
steps = [1.0]  # no canary between: what a canary is for has its own tests, and takes its hundreds of utterances
look_every_ms = 200
settle_ms = 1000
slow_ratio = 10.0  # the machine of a test has other things to do

[rollout.guards.nulls]
harm = 0.05
margin = 0.1
"""

DOUBT_IS_NO_HARM = """
[rollout.guards.doubt]
harm = 0.5
margin = 0.5
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    degraded_bundle(folder / "degraded", "degraded", NOISE)
    degraded_bundle(folder / "worse", "worse", LESS_NOISE)
    return folder


@pytest.fixture(scope="module")
def queries() -> list[tuple[str, bytes]]:
    """What is said in the short ones, and its sound."""
    rows = [json.loads(line) for line in (QUERIES / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    found = []
    for row in rows:
        sound, rate_hz = soundfile.read(QUERIES / row["audio"], dtype="float32")
        if rate_hz == SAMPLE_RATE_HZ and sound.ndim == 1 and (said := without_silence(sound)).size < MOST_SAMPLES:
            found.append((row["text"], to_pcm16(said)))
    return found


def without_silence(sound: Pcm) -> Pcm:
    """What a device would send of it: half of these clips is silence."""
    loud = np.flatnonzero(np.abs(sound) > AUDIBLE)
    return sound[max(0, loud[0] - EDGE_SAMPLES) : loud[-1] + EDGE_SAMPLES]


async def say(address: str, session_id: str, queries: list[tuple[str, bytes]]) -> list[str]:
    """One session of a device that lets its texts be kept; the texts that it was told."""

    async def requests() -> AsyncIterator[pb.RecognizeRequest]:
        hello = pb.Hello(
            schema_version=SCHEMA_VERSION,
            device_id=f"device-{session_id}",
            session_id=session_id,
            audio_format=pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ),
            consent=pb.Consent(keep_text=True),
        )
        yield pb.RecognizeRequest(hello=hello)
        for number, (_, sound) in enumerate(queries, start=1):
            yield pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=number))
            for sequence, start in enumerate(range(0, len(sound), CHUNK_BYTES)):
                payload = sound[start : start + CHUNK_BYTES]
                yield pb.RecognizeRequest(audio=pb.Audio(segment_id=number, sequence=sequence, payload=payload))
            samples = len(sound) // 2
            end = pb.SegmentEnd(segment_id=number, end_sample=samples, sent_samples=samples)
            yield pb.RecognizeRequest(segment_end=end)

    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = SpeechServiceStub(channel)  # its types are those of a channel that blocks
        responses = [response async for response in stub.Recognize(requests())]
    assert not any(response.HasField("failure") for response in responses)
    return [response.transcript.text for response in responses if response.HasField("transcript")]


def label_all(database: Engine, queries: list[tuple[str, bytes]]) -> None:
    """The labelled trickle: what reviewers heard of the utterances that have no label yet."""
    with writing(database) as connection:
        labelled = select(LABELS.c.utterance_id)
        rows = connection.execute(
            select(UTTERANCES.c.id, UTTERANCES.c.segment_id).where(UTTERANCES.c.id.not_in(labelled))
        )
        for row in rows.all():
            text = queries[row.segment_id - 1][0]
            label = {"utterance_id": row.id, "text": text, "author": "ann", "source": "review"}
            connection.execute(insert(LABELS).values(label | {"created_s": time.time()}))


def until_the_guard_acts(
    server: ServerProcess, queries: list[tuple[str, bytes]], candidate: str, every_session: Callable[[], None]
) -> tuple[admin_pb2.PolicyVersion, list[admin_pb2.Verdict], int]:
    """Lets the candidate listen in, and devices speak: what the guard did, its verdicts, after how many utterances."""
    with client(server) as admin:
        put(admin, with_shadow(read_policy(admin.policy().policy.document), candidate, 1.0))
        deadline_s, sessions = time.monotonic() + MOST_S, 0
        while (found := admin.policy().policy).author != AUTHOR:
            assert time.monotonic() < deadline_s, [verdict.text for verdict in admin.verdicts(candidate, 5)]
            texts = asyncio.run(say(server.address, f"session-{sessions}", queries))
            assert len(texts) == len(queries)
            sessions += 1
            while admin.policy().waiting_shadows:  # on a busy machine they come late, and are dropped beyond a bound
                time.sleep(0.1)
            every_session()
        return found, admin.verdicts(candidate, 5), sessions * len(queries)


def default_key() -> str:
    config = load_bundle(default_bundle_path()).config
    return f"{config.name}@{config.version}"


def test_a_degraded_bundle_is_taken_off_with_nobody_acting(
    shelf: Path, queries: list[tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(shelf))
    with serving(default_bundle_path(), tmp_path, SETTINGS) as server:
        change, verdicts, utterances = until_the_guard_acts(server, queries, DEGRADED, lambda: None)
    assert read_policy(change.document) == Policy.of_one(default_key())
    assert change.reason.startswith(f"Roll back {DEGRADED}, tried against {default_key()}: ")
    assert verdicts[0].kind == "roll back"
    assert verdicts[0].text.startswith(change.reason)
    assert utterances < 200, verdicts[0].text


def test_a_bundle_that_gets_few_more_words_wrong_is_taken_off_by_what_people_labelled(
    shelf: Path, queries: list[tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is about as sure of its words as the present one, and hears something each time."""
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(shelf))
    database = create_engine(sqlite_url(tmp_path / "state" / DATABASE_FILE))
    with serving(default_bundle_path(), tmp_path, SETTINGS + DOUBT_IS_NO_HARM) as server:
        change, verdicts, _ = until_the_guard_acts(server, queries, WORSE, lambda: label_all(database, queries))
    database.dispose()
    assert read_policy(change.document) == Policy.of_one(default_key())
    assert "word errors on labelled utterances rose by" in change.reason
    guards = json.loads(verdicts[0].evidence)["guards"]
    assert [key for key, found in guards.items() if found["is_harm"]] == ["word_errors"]
    assert 0.0 < guards["word_errors"]["low"] < guards["word_errors"]["estimate"] < 0.25


def test_a_better_bundle_is_promoted_and_its_verdict_is_written(
    shelf: Path, queries: list[tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLOOP_BUNDLES", str(shelf))
    database = create_engine(sqlite_url(tmp_path / "state" / DATABASE_FILE))
    with serving(shelf / "degraded", tmp_path, SETTINGS) as server:
        change, verdicts, _ = until_the_guard_acts(server, queries, default_key(), lambda: label_all(database, queries))
        texts = asyncio.run(say(server.address, "afterwards", queries))
    database.dispose()
    assert read_policy(change.document).primary == default_key()
    assert change.reason.startswith(f"Promote {default_key()} to all devices: ")
    assert verdicts[0].kind == "promote"
    evidence = json.loads(verdicts[0].evidence)["guards"]
    assert evidence["word_errors"]["high"] < 0.0
    assert all(evidence[key]["is_fine"] for key in ("word_errors", "nulls", "doubt", "slowness"))
    assert sum(heard == said for heard, (said, _) in zip(texts, queries, strict=True)) > len(queries) / 2
