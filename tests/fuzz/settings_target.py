"""What an operator writes: settings files, variables of the environment, lists of hotwords."""

from tests.fuzz.choices import Choices
from tests.fuzz.files import scratch
from tests.fuzz.target import FuzzTarget

from voxloop_cloud.hotword_list import read_hotwords
from voxloop_cloud.server import ServerConfig
from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.hotword_file import read_hotword_file
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, ContractError

_DEVICE = b"""\
device_id = "kitchen"
hotwords = ["lights", "jazz"]
[vad]
aggressiveness = 2
[segmenter]
max_segment_ms = 15000
[client]
server = "10.0.0.1:50051"
[consent]
keep_audio = true
"""
_SERVER = b"""\
listen = "[::1]:50051"
max_sessions = 10
[limits]
max_segment_ms = 30000
[engine]
max_wait_ms = 1.5
"""


_KINDS, _HOTWORDS = 4, 3


def run(data: bytes) -> None:
    """Settings are read or refused with a ConfigError; hotwords are read, or refused by device or server."""
    choices = Choices(data)
    kind, file = choices.below(_KINDS), scratch() / "settings.toml"
    content = choices.take(len(data))
    file.write_bytes(content)
    try:
        match kind:
            case 0:
                read_settings(DeviceConfig, file)
            case 1:
                read_settings(ServerConfig, file)
            case 2:
                read_settings(DeviceConfig, environment=_environment(content))
            case _:  # _HOTWORDS
                read_hotwords(read_hotword_file(file), only=True, most=100)
    except ConfigError:
        pass
    except ContractError:
        if kind < _HOTWORDS:
            raise


def _environment(content: bytes) -> dict[str, str]:
    lines = (line.partition(b"=") for line in content.splitlines())
    return {f"VOXLOOP_{name.decode('latin-1').upper()}": value.decode("latin-1") for name, _, value in lines}


def _seeds() -> list[bytes]:
    environment = b"vad__aggressiveness=3\ndevice_id=kitchen\nclient__server=10.0.0.1:1\nvenv=x"
    hotwords = "turn on the lights\n# a comment\n\ncaf\u00e9 del mar\no'clock\n".encode()
    return [bytes([number]) + content for number, content in enumerate((_DEVICE, _SERVER, environment, hotwords))]


SETTINGS = FuzzTarget("settings", "settings files, variables and lists of hotwords", _seeds, run)
