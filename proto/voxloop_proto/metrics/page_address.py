"""Where a page of metrics may be read."""

import re
from typing import Final

_ADDRESS: Final = re.compile(r"(?:(?P<host>\[[0-9A-Za-z:.%]+\]|[^\s:/\[\]]+):)?(?P<port>\d{1,5})", re.ASCII)
_LOCAL_HOST: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535


def check_page_address(said: str) -> str:
    """The address as HOST:PORT; a port alone is one of this machine alone. Raises ValueError for anything else."""
    found = _ADDRESS.fullmatch(said)
    if found is None or int(found["port"]) > _LAST_PORT:
        raise ValueError(
            f"allowed is HOST:PORT with a port of 0 to {_LAST_PORT}, an IPv6 host in brackets, or a port alone, "
            "for readers on this machine"
        )
    return f"{found['host'] or _LOCAL_HOST}:{found['port']}"
