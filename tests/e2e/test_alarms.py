"""A server that watches itself: a cause made on purpose, the alarm, the receiver that is told, and its end."""

import asyncio
import re
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
import soundfile
from sqlalchemy import select
from tests.cloud.alarms.receiver import Receiver, receiving
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

from voxloop_cloud.bundle import default_bundle_path
from voxloop_cloud.store.database import open_database, sqlite_url
from voxloop_cloud.store.store_config import DATABASE_FILE
from voxloop_cloud.store.tables import ALARMS
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

RULES = """
[rules.null_transcripts]
stage = "decoder"
metric = "voxloop_decoder_null_transcripts_total"
aggregation = "share"
of = "voxloop_decoder_transcripts_total"
split_by = "bundle"
window_s = 20
min_count = 2
comparison = "above"
threshold = 0.6   # of this test
resolves_at = 0.4
for_s = 1
keep_s = 1
severity = "page"
missing = "hold"
meaning = "Nobody is understood."
action = "Speak."
"""


async def _say(address: str, sound: Pcm) -> str:
    """The text of one segment, over a session and connection of its own."""
    hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id="parrot", session_id=uuid.uuid4().hex)
    hello.audio_format.CopyFrom(pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ))
    parts = [sound[start : start + 8_000] for start in range(0, sound.size, 8_000)]
    messages = [
        pb.RecognizeRequest(hello=hello),
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=1)),
        *(
            pb.RecognizeRequest(audio=pb.Audio(segment_id=1, sequence=number, payload=to_pcm16(part)))
            for number, part in enumerate(parts)
        ),
        pb.RecognizeRequest(segment_end=pb.SegmentEnd(segment_id=1, end_sample=sound.size, sent_samples=sound.size)),
    ]
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call: grpc.aio.StreamStreamCall = SpeechServiceStub(channel).Recognize(iter(messages))  # type: ignore[type-arg, assignment]
        texts = [response.transcript.text async for response in call if response.HasField("transcript")]
    return str(*texts)


@contextmanager
def saying(address: str, sound: Pcm) -> Iterator[list[str]]:
    """Devices that say the same again and again until the block is left; gives the texts."""
    texts: list[str] = []
    stop = threading.Event()

    async def go_on() -> None:
        while not stop.is_set():
            texts.append(await _say(address, sound))
            await asyncio.sleep(0.2)

    speaker = threading.Thread(target=lambda: asyncio.run(go_on()))
    speaker.start()
    try:
        yield texts
    finally:
        stop.set()
        speaker.join()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return file


def server_with(tmp_path: Path, rules: Path, receiver: Receiver, *flags: object) -> ServerProcess:
    secret = tmp_path / "secret"
    secret.write_text("open-sesame")
    return ServerProcess(
        default_bundle_path(),
        "--state",
        tmp_path / "state",
        *flags,
        alarms__rules=rules,
        alarms__interval_s=0.5,
        alarms__webhook=receiver.url,
        alarms__webhook_secret=secret,
        alarms__instance="here",
    )


SILENCE = np.zeros(SAMPLE_RATE_HZ, np.float32)


def speech() -> Pcm:
    sound, rate_hz = soundfile.read(QUERIES / "lights.flac", dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(sound, np.float32)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_alarm_fires_is_told_once_and_resolves(workers: int, tmp_path: Path, rules: Path) -> None:
    with receiving() as receiver:
        server = server_with(tmp_path, rules, receiver, "--workers", workers)
        server.start()
        try:
            with saying(server.address, SILENCE) as texts:
                fired = receiver.await_event("fired", "null_transcripts")
            assert set(texts) == {""}
            with saying(server.address, speech()) as texts:
                resolved = receiver.await_event("resolved", "null_transcripts")
            assert "" not in texts
        finally:
            assert server.terminate() == 0
        assert fired["value"] > 0.6
        assert resolved["value"] <= 0.4
        assert resolved["fired_at"] == fired["at"] < resolved["at"]
        assert (fired["severity"], fired["stage"], fired["action"]) == ("page", "decoder", "Speak.")
        assert re.fullmatch(r"voxloop-[a-z-]+@[0-9.]+|default@[0-9.]+", fired["labels"]["bundle"])
        assert [message["event"] for message in receiver.messages] == ["fired", "resolved"]
        assert {headers["Authorization"] for headers in receiver.headers} == {"Bearer open-sesame"}
    store = open_database(sqlite_url(tmp_path / "state" / DATABASE_FILE))
    with store.connect() as connection:
        (row,) = connection.execute(select(ALARMS)).all()
    store.dispose()
    assert (row.rule, row.instance, row.labels) == ("null_transcripts", "here", fired["labels"])
    assert row.resolved_s > row.fired_s


def test_an_alarm_outlives_its_server_and_resolves_in_the_next(tmp_path: Path, rules: Path) -> None:
    with receiving() as receiver:
        server = server_with(tmp_path, rules, receiver)
        server.start()
        with saying(server.address, SILENCE):
            fired = receiver.await_event("fired", "null_transcripts")
        server.kill()
        server.start()
        try:
            with saying(server.address, speech()):
                resolved = receiver.await_event("resolved", "null_transcripts")
        finally:
            server.terminate()
    assert resolved["fired_at"] == fired["at"]
    assert [message["event"] for message in receiver.messages].count("fired") == 1


def test_a_threshold_that_is_set_takes_effect_in_the_running_server(tmp_path: Path, rules: Path) -> None:
    with receiving() as receiver:
        server = server_with(tmp_path, rules, receiver)
        server.start()
        try:
            with saying(server.address, SILENCE):
                receiver.await_event("fired", "null_transcripts")
                where = ("--rules", rules, "--state", tmp_path / "state", "--resolves-at", 1.0)
                change = voxloop("alarms", "set", "null_transcripts", 1.0, "--reason", "a quiet day", *where)
                subprocess.run(change, check=True, capture_output=True)
                resolved = receiver.await_event("resolved", "null_transcripts")
        finally:
            server.terminate()
    assert resolved["threshold"] == 1.0
    history = voxloop("alarms", "history", "--state", tmp_path / "state")
    shown = subprocess.run(history, check=True, capture_output=True, text=True, env=None).stdout
    assert re.search(r"null_transcripts\s+0.6\s+1\s+\S+\s+a quiet day", shown), shown
    assert "# of this test" in rules.read_text()


def test_rules_that_cannot_be_used_stop_the_server_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES.replace("_null_", "_nil_"))
    command = voxloop("serve", "--insecure", "--listen", "127.0.0.1:0")
    environment = {"VOXLOOP_ALARMS__RULES": str(tmp_path / "rules.toml"), "PATH": "/usr/bin:/bin"}
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert found.returncode == 2
    assert "rule null_transcripts: field metric = 'voxloop_decoder_nil_transcripts_total'" in found.stderr
    assert "voxloop_decoder_null_transcripts_total" in found.stderr
