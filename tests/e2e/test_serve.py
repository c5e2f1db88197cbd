"""`voxloop serve` as an operator starts and stops it."""

import queue
import signal
import subprocess
from pathlib import Path

import grpc
import pytest
from tests.e2e.conftest import voxloop

from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceStub


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:", "50051", "localhost", "::1:50051", ":50051"])
def test_an_address_that_cannot_be_is_told_what_is_allowed(listen: str) -> None:
    command = voxloop("serve", "--insecure", "--listen", listen)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"setting listen = '{listen}'" in done.stderr
    assert "HOST:PORT with a port of 0 to 65535" in done.stderr


def test_a_second_signal_does_not_wait_for_open_sessions(tiny: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("drain_ms = 600_000\n")
    command = voxloop("serve", "--insecure", "--bundle", tiny, "--listen", "127.0.0.1:0", "--config", settings)
    requests: queue.SimpleQueue[pb.RecognizeRequest | None] = queue.SimpleQueue()
    requests.put(pb.RecognizeRequest(hello=make_hello(DeviceConfig())))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with grpc.insecure_channel(process.stdout.readline().split()[-1]) as channel:
                answers = SpeechServiceStub(channel).Recognize(iter(requests.get, None))
                assert next(answers).HasField("welcome")
                process.send_signal(signal.SIGTERM)
                while "stopping" not in process.stderr.readline():
                    assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=30) == 0
        finally:
            requests.put(None)
            process.kill()
