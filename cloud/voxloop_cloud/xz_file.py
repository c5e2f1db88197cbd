"""Files under xz in a bundle, unpacked within a bound: a few bytes may stand for gigabytes."""

import lzma
from pathlib import Path

from voxloop_proto.errors import ContractError

MAX_UNPACKED_BYTES = 1 << 30
"""Twenty times the graph of the default bundle."""


def read_xz(path: Path, what: str) -> bytes:
    """The content of an .xz file. what: it should be, for the message.

    Raises ContractError if it is no xz, not whole, or unpacks to more than MAX_UNPACKED_BYTES.
    """
    try:
        with lzma.open(path) as file:
            content = file.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, lzma.LZMAError, EOFError) as error:
        raise ContractError(f"{path} is no {what} ({error}); export the bundle again") from error
    if len(content) > MAX_UNPACKED_BYTES:
        raise ContractError(
            f"{path} unpacks to more than {MAX_UNPACKED_BYTES} bytes, the most allowed; export the bundle again"
        )
    return content
