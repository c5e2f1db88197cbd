"""Several processes on one port: all of them serve, one that dies is replaced, and all end together."""

import asyncio
import os
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import psutil
import pytest
from tests.e2e.conftest import ServerProcess, voxloop
from tests.e2e.sessions import Heard, client_config, segments_of, speech_events

from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.replies import LinkChanged
from voxloop_proto.audio import SAMPLE_RATE_HZ, to_pcm16
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub

TIME_LIMIT_S = 30.0
CONNECTIONS = 24


@pytest.fixture
def server(tiny: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tiny, "--workers", 2)
    process.start()
    yield process
    if process.is_running:
        process.terminate()


def workers_of(server: ServerProcess) -> list[psutil.Process]:
    return list(psutil.Process(server.process_id).children())


async def say(address: str, number: int) -> str:
    """The text of one segment, over a connection of its own."""
    pcm = babble(800, seed=1)
    hello = pb.Hello(schema_version=SCHEMA_VERSION, device_id=f"device-{number}", session_id=uuid.uuid4().hex)
    hello.audio_format.CopyFrom(pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ))
    messages = [
        pb.RecognizeRequest(hello=hello),
        pb.RecognizeRequest(segment_start=pb.SegmentStart(segment_id=1)),
        pb.RecognizeRequest(audio=pb.Audio(segment_id=1, payload=to_pcm16(pcm))),
        pb.RecognizeRequest(segment_end=pb.SegmentEnd(segment_id=1, end_sample=len(pcm), sent_samples=len(pcm))),
    ]
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call: grpc.aio.StreamStreamCall = SpeechServiceStub(channel).Recognize(iter(messages))  # type: ignore[type-arg, assignment]
        texts = [response.transcript.text async for response in call if response.HasField("transcript")]
    assert len(texts) == 1
    return str(texts[0])


async def say_often(address: str) -> set[str]:
    async with asyncio.timeout(TIME_LIMIT_S):
        return set(await asyncio.gather(*(say(address, number) for number in range(CONNECTIONS))))


def test_all_workers_serve_and_give_the_same_text(server: ServerProcess) -> None:
    before = Counter({worker.pid: sum(worker.cpu_times()[:2]) for worker in workers_of(server)})
    texts = asyncio.run(say_often(server.address))
    assert len(texts) == 1
    assert texts != {""}
    spent = [sum(worker.cpu_times()[:2]) - before[worker.pid] for worker in workers_of(server)]
    assert len(spent) == 2
    assert min(spent) > 0.0


def test_a_worker_that_dies_is_replaced_and_the_other_serves_on(server: ServerProcess) -> None:
    victim, witness = workers_of(server)
    victim.send_signal(signal.SIGKILL)
    psutil.wait_procs([victim], timeout=TIME_LIMIT_S)
    assert asyncio.run(say_often(server.address))
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while len(workers_of(server)) < 2 or victim in workers_of(server):
        assert time.monotonic() < deadline_s, "nobody took its place"
        time.sleep(0.1)
    assert witness in workers_of(server)
    assert asyncio.run(say_often(server.address))


def test_all_workers_end_when_asked(server: ServerProcess) -> None:
    workers = workers_of(server)
    assert server.terminate() == 0
    assert not any(worker.is_running() for worker in workers)


def test_workers_do_not_outlive_their_parent(server: ServerProcess) -> None:
    workers = workers_of(server)
    server.kill()
    _, alive = psutil.wait_procs(workers, timeout=TIME_LIMIT_S)
    assert not alive


def test_a_port_that_another_server_has_is_not_shared_with_it(server: ServerProcess, tiny: Path) -> None:
    command = voxloop("serve", "--insecure", "--bundle", tiny, "--listen", server.address, "--workers", 2)
    second = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False, env=os.environ)
    assert second.returncode == 2
    assert "the port is taken" in second.stderr


async def meet_at_one_worker(address: str) -> tuple[Heard, Heard]:
    """Two devices share a connection, and so a worker; the second speaks while the first is in its segment."""
    config = client_config(address, longest_retry_after_ms=50)
    events = segments_of(speech_events())[0]
    first, second = Heard(), Heard()
    async with (
        asyncio.timeout(TIME_LIMIT_S),
        open_channel(config) as channel,
        Client(channel, make_hello(DeviceConfig(), "first"), config, first.replies.append) as early,
    ):
        for event in events[:-1]:
            await early.send(event)
        await asyncio.sleep(0.5)
        async with Client(channel, make_hello(DeviceConfig(), "second"), config, second.replies.append) as late:
            for event in events:
                await late.send(event)
            await late.finish()
        await early.send(events[-1])
        await early.finish()
    return first, second


def test_a_device_that_one_worker_refuses_is_served_by_another(tiny: Path) -> None:
    server = ServerProcess(tiny, "--workers", 2, max_streams=2)  # one each
    server.start()
    try:
        first, second = asyncio.run(meet_at_one_worker(server.address))
    finally:
        server.terminate()
    assert len(first.transcripts) == 1
    assert second.transcripts == first.transcripts
    refusals = [r.reason for r in second.replies if isinstance(r, LinkChanged) and not r.is_open]
    assert any("1 devices speak" in reason for reason in refusals), refusals
