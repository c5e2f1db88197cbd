"""The settings of who may reach the server: what is not said plainly is refused before a port is opened."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from voxloop_cloud.security.access import AccessConfig, open_access
from voxloop_proto.errors import ConfigError

TLS = {"certificate": "server.pem", "key": "server.key"}


def access(listen: str = "127.0.0.1:0", **settings: Any) -> tuple[bool, bool]:
    """Whether the port is encrypted, and whether callers are asked who they are."""

    async def run() -> tuple[bool, bool]:
        async with open_access(AccessConfig.model_validate(settings), listen) as found:
            return found.credentials is not None, found.gate is not None

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("listen", "settings", "said"),
    [
        ("127.0.0.1:0", {}, "no certificate, and speech is not taken in plaintext unasked"),
        ("127.0.0.1:0", {"anonymous": True}, "no certificate, and speech is not taken in plaintext unasked"),
        ("127.0.0.1:0", {"insecure_beyond_loopback": True}, "no certificate"),
        ("0.0.0.0:0", {"insecure": True}, "in plaintext over the network"),
        ("[::]:0", {"insecure": True}, "in plaintext over the network"),
        ("speech.example.org:0", {"insecure": True}, "in plaintext over the network"),
        ("127.0.0.1.example.org:0", {"insecure": True}, "in plaintext over the network"),
        ("127.0.0.1:0", {"insecure": True, "tls": TLS}, "leave out one or the other"),
        ("127.0.0.1:0", {"insecure": True, "tls": {"client_ca": "ca.pem"}}, "leave out one or the other"),
        ("127.0.0.1:0", {"insecure": True, "anonymous": True, "tokens": "tokens.json"}, "leave out one"),
    ],
)
def test_what_would_open_more_than_was_said_is_refused(listen: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        access(listen, **settings)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.9.1:0", "localhost:0", "[::1]:0"])
def test_plaintext_on_this_machine_needs_to_be_asked_for_and_no_more(listen: str) -> None:
    assert access(listen, insecure=True) == (False, False)


def test_plaintext_for_the_network_needs_a_second_word() -> None:
    assert access("0.0.0.0:0", insecure=True, insecure_beyond_loopback=True) == (False, False)


def test_an_encrypted_port_needs_a_word_on_who_may_use_it(certificates: Path) -> None:
    tls = {"certificate": certificates / "server.pem", "key": certificates / "server.key"}
    with pytest.raises(ConfigError, match="no word on who may speak to this server"):
        access(tls=tls)
    assert access(tls=tls, anonymous=True) == (True, False)
    assert access(tls=tls | {"client_ca": certificates / "ca.pem"}) == (True, True)
    assert access("0.0.0.0:0", tls=tls, tokens=certificates / "tokens.json") == (True, True)


def test_behind_a_proxy_that_ends_tls_tokens_are_asked_for_all_the_same(certificates: Path) -> None:
    assert access(insecure=True, tokens=certificates / "tokens.json") == (False, True)
