"""Where a report goes: tried before a long run, and written whole or not at all."""

import os
from pathlib import Path
from tempfile import TemporaryFile

from voxloop_proto.errors import ConfigError


def check_report_file(file: Path, flag: str) -> None:
    """Raises ConfigError, which names the flag, if the file cannot be written."""
    file = file.absolute()
    if file.is_dir():
        raise ConfigError(f"{flag} {file} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise ConfigError(f"no folder {file.parent} to write the report to; make it first")
    check_writable(file.parent, flag)


def check_writable(folder: Path, flag: str) -> None:
    """Tries it now: a long run whose results cannot be kept is worth nothing. Raises ConfigError."""
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{flag}: cannot write into {folder}: {error.strerror}; name another") from error


def write_report_file(file: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    temporary = file.with_name(file.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
