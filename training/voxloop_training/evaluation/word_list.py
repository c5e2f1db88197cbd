"""Which hotwords the device names while it plays a set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from voxloop_edge.hotword_file import read_hotword_file
from voxloop_proto.errors import ConfigError


def read_word_lists(arguments: Sequence[str], set_names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The hotwords of each set that has any. arguments: FILE for all sets, SET=FILE for one, whose own list wins.

    SET may leave out what comes after its slash. Raises ConfigError for a set or a file that is not there.
    """
    for_all: dict[str, tuple[str, ...]] = {}
    own: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        name, _, file = argument.rpartition("=")
        phrases = read_hotword_file(Path(file))
        if name:
            own |= dict.fromkeys(_sets_called(name, set_names), phrases)
        else:
            for_all = dict.fromkeys(set_names, phrases)
    return for_all | own


def _sets_called(name: str, set_names: Sequence[str]) -> list[str]:
    found = [each for each in set_names if name in {each, each.partition("/")[0]}]
    if not found:
        raise ConfigError(f"--hotwords {name}=...: no set {name!r}; the sets are {', '.join(set_names)}")
    return found
