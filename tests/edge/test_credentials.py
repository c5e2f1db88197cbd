"""What a device shows its server: nothing in plaintext, the token as it is now, and never in an error."""

from pathlib import Path
from typing import Any

import pytest

from voxloop_edge.channel import open_channel
from voxloop_edge.client_config import ClientConfig
from voxloop_edge.credentials import open_credentials, read_token
from voxloop_edge.device_config import DeviceConfig
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError

SECRET = "voxloop_0123456789abcdef_" + "s3cr3t" * 7


def config(**settings: Any) -> ClientConfig:
    return ClientConfig.model_validate(settings)


@pytest.mark.parametrize("server", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.1.2.3:1"])
def test_plaintext_to_this_machine_needs_to_be_asked_for(server: str) -> None:
    assert open_credentials(config(server=server)) is not None
    assert open_credentials(config(server=server, insecure=True)) is None


@pytest.mark.parametrize("server", ["10.0.0.7:1", "speech.example.org:1", "localhost.example.org:1", "[fe80::1]:1"])
def test_plaintext_over_the_network_needs_a_second_word(server: str) -> None:
    with pytest.raises(ConfigError, match=r"in plaintext over the network; use TLS .*insecure_beyond_loopback"):
        open_credentials(config(server=server, insecure=True))
    assert open_credentials(config(server=server, insecure=True, insecure_beyond_loopback=True)) is None
    assert open_credentials(config(server=server, insecure_beyond_loopback=True)) is not None  # says nothing alone


@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize(
    "secret", [{"token": SECRET}, {"token_file": "t"}, {"tls": {"certificate": "c.pem", "key": "c.key"}}]
)
def test_a_secret_is_never_used_in_plaintext(secret: dict[str, Any], beyond: bool) -> None:
    with pytest.raises(ConfigError, match="never used in plaintext"):
        open_channel(config(insecure=True, insecure_beyond_loopback=beyond, **secret))


def test_the_token_is_read_each_time_so_a_new_one_needs_no_restart(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert read_token(config(token_file=file)) == token


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"x" * 257, b"\xc3\xa9", b"a\x00b", b"a\nb"])
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=r"client\.token_file holds no token") as refused:
        open_credentials(config(token_file=tmp_path / "token"))
    assert len(content.strip()) < 2 or content.decode("latin1") not in refused.value.message


def test_what_is_missing_or_said_twice_is_named(tmp_path: Path) -> None:
    for settings, said in (
        ({"token_file": tmp_path / "none"}, r"cannot read client\.token_file .*none: No such file"),
        ({"token": "a", "token_file": tmp_path / "none"}, "leave out one"),
        ({"tls": {"certificate": "c.pem"}}, "name both --certificate and --key"),
        ({"tls": {"ca": tmp_path / "none"}}, r"cannot read client\.tls\.ca .*none: No such file"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_credentials(config(**settings))


def test_a_server_of_one_s_own_is_shown_no_secret() -> None:
    whole = config(server="10.0.0.7:1", token=SECRET, tls={"ca": "ca.pem", "certificate": "c", "key": "k"})
    local = whole.to_local("127.0.0.1:5")
    assert (local.server, local.names_a_device) == ("127.0.0.1:5", False)
    assert open_credentials(local) is None


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("", {"VOXLOOP_CLINT__TOKEN": SECRET}),
        ("", {"VOXLOOP_CLIENT__TOKEN__X": SECRET}),
        (f'[client]\ntokn = "x"\ntoken = ["{SECRET}"]\n', {}),
        (f'[client]\ntoken_ = "{SECRET}"\n', {}),
        (f'[client]\nclient = {{ token = "{SECRET}" }}\n', {}),
    ],
)
def test_no_error_of_the_settings_shows_a_token(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_settings(DeviceConfig, tmp_path / "settings.toml", environment)
    assert SECRET not in refused.value.message


def test_the_settings_do_not_show_it_either() -> None:
    assert SECRET not in f"{config(token=SECRET)!r} {config(token=SECRET)} {config(token=SECRET).model_dump_json()}"
