"""Who is let in, with real processes: certificates and tokens from the commands that make them, a server, a device."""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.conftest import QUERIES, ServerProcess, voxloop

from voxloop_cloud.security.certificate_authority import CertificateAuthority
from voxloop_cloud.testing import babble
from voxloop_edge.channel import open_channel
from voxloop_edge.client import Client
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.pipeline import build_pipeline
from voxloop_edge.replies import LinkChanged, Reply, TranscriptArrived
from voxloop_proto.audio import to_pcm16
from voxloop_proto.events import Chunk, EncodedEvent, SegmentPayload, SegmentStarted
from voxloop_proto.stage import run

CLIP = QUERIES / "timer.flac"
UNAUTHENTICATED_EXIT_CODE = 8
MEBI = 1 << 20


def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(voxloop(*arguments), capture_output=True, text=True, timeout=60, check=False)


def done(*arguments: object) -> str:
    """Standard output of a command that must succeed."""
    result = command(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@dataclass
class Household:
    """A folder with a CA, a server's certificate, tokens, and servers that write all they say into it."""

    folder: Path
    bundle: Path
    servers: "list[subprocess.Popen[str]]" = field(default_factory=list)

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.json"

    @property
    def own(self) -> list[object]:
        """What a server is started with."""
        return ["--certificate", self.folder / "server.pem", "--key", self.folder / "server.key"]

    def serve(self, *arguments: object) -> str:
        """The address of a new server."""
        begin = ["serve", "--bundle", self.bundle, "--listen", "127.0.0.1:0", "--log-level", "debug"]
        log = self.folder / f"server-{len(self.servers)}.log"
        with log.open("w") as err:
            process = subprocess.Popen(voxloop(*begin, *arguments), stdout=subprocess.PIPE, stderr=err, text=True)
        self.servers.append(process)
        assert process.stdout is not None
        found = re.search(r"listening on (\S+)", process.stdout.readline())
        assert found is not None, log.read_text()
        return found.group(1)

    def replay(
        self, address: str, *arguments: object, device_id: str = "kitchen"
    ) -> "subprocess.CompletedProcess[str]":
        """A replay of one clip by a device that trusts the CA."""
        settings = self.folder / f"{device_id}.toml"
        settings.write_text(f'device_id = "{device_id}"\n[client]\nconnect_timeout_ms = 1000\n')
        ca = ["--ca", self.folder / "ca.pem"] if "--ca" not in arguments else []
        return command("replay", CLIP, "--server", address, "--config", settings, *ca, *arguments)

    def issue(self, device_id: str) -> Path:
        """The file of a new token."""
        out = self.folder / f"{device_id}.token"
        done("tokens", "issue", device_id, "--tokens", self.tokens, "--out", out)
        return out

    def close(self) -> None:
        for process in self.servers:
            process.terminate()
            process.wait(timeout=30)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture(scope="module")
def household(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    folder = tmp_path_factory.mktemp("household") / "certs"
    said = done("certificates", folder, "--host", "speech.example.org", "--device", "kitchen", "--device", "hall")
    assert f"--certificate {folder / 'server.pem'} --key {folder / 'server.key'}" in said
    found = Household(folder, tiny)
    found.issue("kitchen")
    found.issue("hall")
    yield found
    found.close()


@pytest.fixture(scope="module")
def address(household: Household) -> str:
    """Of a server that asks for tokens."""
    return household.serve(*household.own, "--tokens", household.tokens)


@pytest.fixture(scope="module")
def mtls_address(household: Household) -> str:
    """Of a server that asks for certificates."""
    return household.serve(*household.own, "--client-ca", household.folder / "ca.pem")


def test_a_server_that_is_told_nothing_opens_no_port(tiny: Path) -> None:
    result = command("serve", "--bundle", tiny, "--listen", "127.0.0.1:0")
    assert (result.returncode, result.stdout) == (2, "")
    assert "speech is not taken in plaintext unasked" in result.stderr
    assert "voxloop certificates DIR" in result.stderr
    result = command("serve", "--bundle", tiny, "--listen", "0.0.0.0:0", "--insecure")
    assert (result.returncode, result.stdout) == (2, "")


def test_a_device_with_its_token_is_heard_over_tls(household: Household, address: str) -> None:
    result = household.replay(address, "--token-file", household.folder / "kitchen.token", "--verbose")
    assert result.returncode == 0, result.stderr
    assert "timer" in result.stdout


def test_a_device_with_its_certificate_is_heard(household: Household, mtls_address: str) -> None:
    pair = ["--certificate", household.folder / "device-kitchen.pem", "--key", household.folder / "device-kitchen.key"]
    result = household.replay(mtls_address, *pair)
    assert result.returncode == 0, result.stderr
    result = household.replay(mtls_address, *pair, device_id="hall")
    assert result.returncode == 6
    assert "the credentials are those of device 'kitchen', the message is of 'hall'" in result.stderr


def test_a_device_without_a_certificate_or_with_a_stranger_s_is_told_so(
    household: Household, mtls_address: str, tmp_path: Path
) -> None:
    result = household.replay(mtls_address)
    assert result.returncode == 5
    assert "it may ask for a certificate of this device (--certificate FILE --key FILE)" in result.stderr
    done("certificates", tmp_path / "other", "--device", "kitchen")
    pair = [tmp_path / "other" / f"device-kitchen.{kind}" for kind in ("pem", "key")]
    result = household.replay(mtls_address, "--certificate", pair[0], "--key", pair[1])
    assert result.returncode == 5
    assert "it may not take the certificate" in result.stderr


def test_a_server_of_another_ca_is_not_trusted_and_gets_no_token(
    household: Household, address: str, tmp_path: Path
) -> None:
    done("certificates", tmp_path / "other")
    token = ["--token-file", household.folder / "kitchen.token"]
    result = household.replay(address, "--ca", tmp_path / "other" / "ca.pem", *token)
    assert result.returncode == 2
    assert "its certificate is of a CA that this device does not know: name it with --ca FILE" in result.stderr


def test_a_server_of_another_name_is_not_trusted(
    household: Household, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = ["--token-file", household.folder / "kitchen.token"]
    monkeypatch.setenv("VOXLOOP_CLIENT__TLS__SERVER_NAME", "elsewhere.example.org")
    result = household.replay(address, *token)
    assert result.returncode == 2
    assert "its certificate is for another name" in result.stderr
    monkeypatch.setenv("VOXLOOP_CLIENT__TLS__SERVER_NAME", "speech.example.org")
    assert household.replay(address, *token).returncode == 0


def test_plaintext_and_tls_do_not_meet(household: Household, address: str, server: ServerProcess) -> None:
    result = command("replay", CLIP, "--server", address, "--insecure", "--config", household.folder / "kitchen.toml")
    assert result.returncode == 5
    assert "if it speaks TLS, leave --insecure out" in result.stderr
    result = household.replay(server.address)
    assert result.returncode == 2
    assert "it speaks plaintext" in result.stderr
    token = household.folder / "kitchen.token"
    result = command("replay", CLIP, "--server", server.address, "--insecure", "--token-file", token)
    assert result.returncode == 2
    assert "a token or certificate is never used in plaintext" in result.stderr


def test_a_certificate_that_has_ended_is_refused_at_the_start(household: Household, tmp_path: Path) -> None:
    certificate, key = tmp_path / "old.pem", tmp_path / "old.key"
    authority = CertificateAuthority.load(household.folder)
    authority.issue_server(["localhost"], certificate, key, datetime.now(UTC) - timedelta(days=400))
    result = command("serve", "--certificate", certificate, "--key", key, "--anonymous")
    assert result.returncode == 2
    assert re.search(r"the certificate .*old\.pem ended on .*; make a new one", result.stderr)


def test_no_token_and_a_wrong_one_are_told_apart(
    household: Household, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = household.replay(address)
    assert result.returncode == UNAUTHENTICATED_EXIT_CODE
    assert "this server asks for a token, and none came; issue one with 'voxloop tokens issue DEVICE'" in result.stderr
    monkeypatch.setenv("VOXLOOP_CLIENT__TOKEN", f"voxloop_{'0' * 16}_{'a' * 43}")
    result = household.replay(address)
    assert result.returncode == UNAUTHENTICATED_EXIT_CODE
    assert "this token is not one of this server's" in result.stderr


def test_a_token_is_the_device_s_own(household: Household, address: str) -> None:
    result = household.replay(address, "--token-file", household.folder / "hall.token")
    assert result.returncode == 6
    assert "set device_id = 'hall' there, or give it credentials of its own" in result.stderr


def test_a_token_revoked_in_mid_stream_ends_it_within_seconds_and_the_device_says_why(
    household: Household, address: str
) -> None:
    token = household.issue("attic")
    (household.folder / "attic.toml").write_text('device_id = "attic"\n')
    listen = voxloop(
        "listen", "--stdin", "s16le", "--server", address, "--ca", household.folder / "ca.pem",
        "--token-file", token, "--config", household.folder / "attic.toml",
    )  # fmt: skip
    gap = np.zeros(24_000, np.float32)
    with subprocess.Popen(listen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(to_pcm16(np.concatenate([gap, babble(1200), gap])))
        process.stdin.flush()
        assert process.stdout.readline().strip()  # a segment is transcribed: the stream is open
        done("tokens", "revoke", "attic", "--tokens", household.tokens)
        revoked_s = time.monotonic()
        assert process.wait(timeout=20) == UNAUTHENTICATED_EXIT_CODE
        assert time.monotonic() - revoked_s < 5.0
        assert b"the token of attic was revoked or has ended; issue a new one" in process.stderr.read()


def speech_events(segments: int, segment_ms: int) -> list[EncodedEvent]:
    gap = np.zeros(16_000, np.float32)
    sound = [gap, *(part for seed in range(segments) for part in (babble(segment_ms, seed), gap))]
    return list(run(build_pipeline(DeviceConfig()), [Chunk(0, np.concatenate(sound))]))


def say(config: ClientConfig, events: list[EncodedEvent], device_id: str) -> list[Reply]:
    """All that a session over these events replies."""
    replies: list[Reply] = []

    async def talk() -> None:
        hello = make_hello(DeviceConfig(), device_id)
        async with (
            asyncio.timeout(90),
            open_channel(config) as channel,
            Client(channel, hello, config, replies.append) as client,
        ):
            for event in events:
                await client.send(event)
            await client.finish()

    asyncio.run(talk())
    return replies


def texts(replies: list[Reply]) -> list[tuple[int, str]]:
    return [(r.transcript.segment_id, r.transcript.text) for r in replies if isinstance(r, TranscriptArrived)]


def test_a_device_that_sends_too_much_waits_and_loses_nothing(
    household: Household, server: ServerProcess, tmp_path: Path
) -> None:
    """1 MiB a minute is 33 s of speech; 40 s are said at once. The device hears when to come back, and does."""
    settings = tmp_path / "server.toml"
    settings.write_text("[limits]\nmax_bytes_per_minute = 1_048_576\n")
    address = household.serve(*household.own, "--tokens", household.tokens, "--config", settings)
    config = ClientConfig.model_validate(
        {
            "server": address,
            "tls": {"ca": household.folder / "ca.pem"},
            "token_file": household.folder / "kitchen.token",
            "first_backoff_ms": 50,
        }
    )
    events = speech_events(segments=9, segment_ms=4_000)
    started_s = time.monotonic()
    replies = say(config, events, "kitchen")
    took_s = time.monotonic() - started_s
    last = max(index for index, event in enumerate(events) if isinstance(event, SegmentStarted))
    before_bytes = sum(len(event.payload) for event in events[:last] if isinstance(event, SegmentPayload))
    assert took_s >= (before_bytes - MEBI) * 60.0 / MEBI > 1.0  # the limit is the device's, over all its connections
    refusals = [reply.reason for reply in replies if isinstance(reply, LinkChanged) and not reply.is_open]
    assert any("more than 1048576 bytes in a minute" in reason for reason in refusals)
    plain = ClientConfig(server=server.address, insecure=True)
    assert texts(replies) == texts(say(plain, events, "kitchen"))
    assert len({segment_id for segment_id, _ in texts(replies)}) == len(texts(replies)) >= 9


def test_no_log_report_or_file_of_the_server_holds_a_token(household: Household, address: str, tmp_path: Path) -> None:
    """After a good call, one of another device, and one with a token that is revoked."""
    token, report = household.issue("cellar"), tmp_path / "report.json"
    flags = ["--token-file", token, "-v"]
    results = [household.replay(address, *flags, "--report", report, device_id="cellar")]
    results += [household.replay(address, *flags, device_id="hall")]
    results += [command("tokens", "revoke", "cellar", "--tokens", household.tokens)]
    time.sleep(2.5)
    results += [household.replay(address, *flags, device_id="cellar")]
    assert [result.returncode for result in results] == [0, 6, 0, UNAUTHENTICATED_EXIT_CODE]
    secrets = [file.read_text().strip().split("_", 2)[2] for file in household.folder.glob("*.token")]
    assert len(secrets) >= 3
    written = [file for file in household.folder.iterdir() if file.suffix in (".json", ".jsonl", ".log", ".toml")]
    assert {"tokens.json", "audit.jsonl", "server-0.log"} <= {file.name for file in written}
    texts = [file.read_text() for file in (*written, report)]
    texts += [text for result in results for text in (result.stdout, result.stderr)]
    assert not any(secret in text for text in texts for secret in secrets)
    audit = (household.folder / "audit.jsonl").read_text()
    actions = [json.loads(line)["action"] for line in audit.splitlines()]
    assert {"certificate.ca", "certificate.server", "certificate.device", "token.issue", "token.revoke"} <= set(actions)
    assert "call.refused" in actions


def test_only_an_admins_token_says_which_bundle_answers(household: Household, tmp_path: Path) -> None:
    address = household.serve(*household.own, "--tokens", household.tokens, "--state", tmp_path / "state")
    admin = household.folder / "ann.token"
    done("tokens", "issue", "ann", "--role", "admin", "--tokens", household.tokens, "--out", admin)
    own = ["--server", address, "--ca", household.folder / "ca.pem"]
    assert "primary" in done("deploy", "status", *own, "--token-file", admin)
    for token, code, said in (
        ([], UNAUTHENTICATED_EXIT_CODE, "asks for a token"),
        (["--token-file", household.folder / "kitchen.token"], 9, "kitchen has the role device"),
    ):
        refused = command("deploy", "automation", "human", "--reason", "mischief", "--yes", *own, *token)
        assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
    done("deploy", "automation", "human", "--reason", "a holiday", "--yes", *own, "--token-file", admin)
    assert "by ann: a holiday" in done("deploy", "history", *own, "--token-file", admin)
    written = [json.loads(line) for line in (household.folder / "audit.jsonl").read_text().splitlines()]
    assert [(line["who"], line["reason"]) for line in written if line["action"] == "policy.set"] == [
        ("ann", "a holiday")
    ]
