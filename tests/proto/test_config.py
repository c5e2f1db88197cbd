"""Settings: who wins, and what a wrong one is told."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError


class Vad(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    aggressiveness: int = Field(2, ge=0, le=3, description="0 keeps most, 3 cuts most")
    kind: str = "webrtc"


class Device(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str = "localhost:50061"
    vad: Vad = Vad()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "device.toml"
    path.write_text('server = "file:1"\n[vad]\naggressiveness = 1\n', encoding="utf-8")
    return path


def test_without_sources_the_defaults_hold() -> None:
    assert read_settings(Device) == Device()


def test_a_file_beats_the_defaults_and_leaves_the_rest(file: Path) -> None:
    settings = read_settings(Device, file)
    assert (settings.server, settings.vad.aggressiveness, settings.vad.kind) == ("file:1", 1, "webrtc")


def test_the_environment_beats_the_file(file: Path) -> None:
    settings = read_settings(Device, file, {"VOXLOOP_VAD__AGGRESSIVENESS": "3", "VOXLOOP_SERVER": "environment:1"})
    assert (settings.server, settings.vad.aggressiveness) == ("environment:1", 3)


def test_flags_beat_the_environment(file: Path) -> None:
    settings = read_settings(Device, file, {"VOXLOOP_VAD__AGGRESSIVENESS": "3"}, {"vad.aggressiveness": 0})
    assert settings.vad.aggressiveness == 0


def test_a_flag_that_was_not_given_changes_nothing(file: Path) -> None:
    assert read_settings(Device, file, flags={"vad.aggressiveness": None, "server": None}).server == "file:1"


def test_other_programs_variables_are_left_alone() -> None:
    environment = {"VOXLOOP_SHARED": "/data", "VOXLOOP_VENV": "x", "PATH": "/bin", "VOXLOOPED": "1"}
    assert read_settings(Device, environment=environment) == Device()


def test_a_variable_of_an_unknown_group_is_named_with_the_groups_there_are() -> None:
    with pytest.raises(ConfigError, match=r"VOXLOOP_VADD__KIND='onnx': no group 'vadd'; groups here: vad$"):
        read_settings(Device, environment={"VOXLOOP_VADD__KIND": "onnx"})


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read settings file .*directory"):
        read_settings(Device, tmp_path)


def test_a_group_can_be_made_by_flags_alone() -> None:
    assert read_settings(Device, flags={"vad.kind": "onnx"}).vad.kind == "onnx"


def test_an_unknown_key_is_named_with_its_value_and_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text("[vad]\nagressiveness = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        read_settings(Device, path)
    assert found.value.message == "unknown setting vad.agressiveness = 3; allowed here: aggressiveness, kind"


def test_an_unknown_group_is_named_with_the_groups_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown setting vda\.kind|unknown setting vda = .*allowed here: server, vad"
    ):
        read_settings(Device, flags={"vda.kind": "onnx"})


def test_a_value_out_of_range_is_told_the_range_and_the_meaning() -> None:
    with pytest.raises(ConfigError) as found:
        read_settings(Device, flags={"vad.aggressiveness": 9})
    for part in ("vad.aggressiveness = 9", "less than or equal to 3", "0 keeps most, 3 cuts most"):
        assert part in found.value.message


def test_a_wrong_type_is_told_the_right_one() -> None:
    with pytest.raises(ConfigError, match=r"vad\.aggressiveness = 'much': .*integer"):
        read_settings(Device, environment={"VOXLOOP_VAD__AGGRESSIVENESS": "much"})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as found:
        read_settings(Device, flags={"vad.aggressiveness": 9, "vad.speed": 1, "port": 2})
    assert len(found.value.message.splitlines()) == 3


def test_a_value_where_a_group_belongs_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text('vad = "webrtc"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="vad is a value, not a group"):
        read_settings(Device, path, flags={"vad.kind": "onnx"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no settings file .*absent\.toml"):
        read_settings(Device, tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"server = \n", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        read_settings(Device, path)


class Named(BaseModel):
    name: str = "a"

    @field_validator("name")
    @classmethod
    def _check(cls, name: str) -> str:
        raise ValueError(f"nobody is called {name}")


def test_what_a_validator_of_ours_says_is_told_in_its_own_words() -> None:
    with pytest.raises(ConfigError) as told:
        read_settings(Named, flags={"name": "b"})
    assert "Value error" not in told.value.message
    assert "setting name = 'b': nobody is called b" in told.value.message
