"""Hotwords as a user gives them: in a file, and in the settings."""

from pathlib import Path

import pytest

from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hello import make_hello
from voxloop_edge.hotword_file import read_hotword_file
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


def test_each_line_is_a_phrase(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeff# my friends\r\nSiobhán\r\n\r\n  Jean-Luc Picard \r\n".encode())
    assert read_hotword_file(file) == ("Siobhán", "Jean-Luc Picard")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read hotwords from .*give a text file"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"# none\n\n", "has no hotwords"),
    ],
)
def test_a_file_with_nothing_to_use_is_an_error(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "names.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_hotword_file(file)


def test_hello_carries_the_hotwords_and_whether_they_are_all() -> None:
    hello = make_hello(DeviceConfig(hotwords=("jazz", "play it"), hotwords_only=True))
    assert (list(hello.hotwords), hello.hotwords_only) == (["jazz", "play it"], True)
    assert not make_hello(DeviceConfig(hotwords=("jazz",))).hotwords_only


def test_only_hotwords_needs_hotwords() -> None:
    with pytest.raises(ConfigError, match=r"hotwords_only = True: .*needs hotwords; give them .* with --hotwords FILE"):
        read_settings(DeviceConfig, flags={"hotwords_only": True})
