"""The console's password: in a file, for one pair of eyes."""

import secrets
from pathlib import Path
from typing import Final

from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.security.private_file import write_new
from voxloop_proto.errors import ConfigError

PASSWORD_FILE: Final = "console.password"
LEAST_CHARACTERS: Final = 12


def password_file(config: ConsoleConfig) -> Path | None:
    """Where the password is; None if only tokens sign in."""
    if config.password is not None:
        return config.password
    return config.store.state / PASSWORD_FILE if config.store.state else None


def read_password(config: ConsoleConfig) -> str | None:
    """The password; the one in the folder of state is made when there is none. None: only tokens sign in.

    Raises ConfigError if the file cannot be read, or the password is short.
    """
    file = password_file(config)
    if file is None:
        if config.tokens is None:
            raise ConfigError("nobody could sign in: name a file with a password, or the server's file of tokens")
        return None
    if config.password is None and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_new(file, secrets.token_urlsafe(18).encode() + b"\n")
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the password file {file}: {error}") from error
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(f"the password in {file} has {len(password)} characters; at least {LEAST_CHARACTERS}")
    return password
