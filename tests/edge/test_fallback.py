"""What a device must have before it may promise to transcribe by itself."""

import importlib.util
from pathlib import Path

import pytest

from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.fallback import check_fallback
from voxloop_proto.errors import ConfigError


def settings(fallback: str, spool: Path | None) -> DeviceConfig:
    return DeviceConfig.model_validate({"client": {"fallback": fallback}, "spool": {"dir": spool}})


def test_whoever_does_not_fall_back_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    check_fallback(settings("none", None))


def test_falling_back_needs_a_spool() -> None:
    with pytest.raises(ConfigError, match="add --spool DIR"):
        check_fallback(settings("local", None))


def test_falling_back_needs_the_libraries_of_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_fallback(settings("local", tmp_path))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "kaldi_decoder" else found(name))
    with pytest.raises(ConfigError, match=r"needs kaldi_decoder; install it with: pip install 'voxloop\[edge,cloud\]'"):
        check_fallback(settings("local", tmp_path))
