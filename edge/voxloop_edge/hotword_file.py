"""A file of hotwords: one word or phrase a line."""

from pathlib import Path

from voxloop_proto.errors import ConfigError


def read_hotword_file(path: Path) -> tuple[str, ...]:
    """Its lines without the space around them; empty lines and those that begin with # are left out.

    Raises ConfigError if there is no such text file, or nothing in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read hotwords from {path}: {error.strerror}; give a text file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error}); give a text file with one phrase a line") from error
    phrases = tuple(line.strip() for line in lines)
    found = tuple(phrase for phrase in phrases if phrase and not phrase.startswith("#"))
    if not found:
        raise ConfigError(f"{path} has no hotwords; give one word or phrase a line, or leave --hotwords out")
    return found
