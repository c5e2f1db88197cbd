"""The file of tokens: changed by `voxloop tokens`, watched by running servers."""

from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import ValidationError

from voxloop_cloud.security.private_file import locked, replace
from voxloop_cloud.security.tokens import TokenBook
from voxloop_proto.errors import ConfigError

MAX_FILE_BYTES = 64 << 20
_log = structlog.get_logger("voxloop.tokens")


def read_tokens(file: Path) -> TokenBook:
    """The tokens in a file. Raises ConfigError if it is not there, too large, or no such file."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file} has more than {MAX_FILE_BYTES} bytes, so it is no file of tokens")
        return TokenBook.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"no file of tokens {file}; make it with the first token: 'voxloop tokens issue DEVICE --tokens {file}'"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the tokens {file}: {error.strerror}") from error
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, found["loc"])) or "the file"
        raise ConfigError(f"{file} is no file of tokens: {where}: {found['msg']}") from None


def change_tokens(file: Path, change: Callable[[TokenBook], TokenBook]) -> TokenBook:
    """Changes a file of tokens, one command at a time, and gives what was there before. Raises what `change` raises."""
    try:
        with locked(file):
            before = read_tokens(file) if file.exists() else TokenBook()
            replace(file, change(before).model_dump_json(indent=1).encode())
    except OSError as error:
        raise ConfigError(f"cannot write the tokens {file}: {error.strerror}") from error
    return before


class WatchedTokens:
    """The tokens of a running server, read again when their file has changed."""

    def __init__(self, file: Path) -> None:
        """Raises as read_tokens."""
        self._file = file
        self._stamp = _stamp(file)
        self.book = read_tokens(file)

    def refresh(self) -> bool:
        """Looks at the file (one `stat`) and reads it if it is another one now; true if the tokens may have changed.

        A file that is gone or damaged is told in the log, and the tokens stay as they were: an accident with the file
        must not lock every device out.
        """
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.book = read_tokens(self._file)
        except ConfigError as error:
            _log.error("tokens.unreadable", error=error.message, kept=len(self.book.tokens))
            return False
        _log.info("tokens.read", tokens=len(self.book.tokens))
        return True


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
