"""Where a clip lies in the clip store: by a digest of its device, the day, and digests of session and segment.

Nothing that a device says of itself becomes a path; all of one device lies in one place, and by day in it.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

_DIGEST_BYTES: Final = 16
_DAY: Final = "%Y-%m-%d"


def device_digest(device_id: str) -> str:
    """32 hexadecimal digits that stand for a device where its name must not."""
    return hashlib.blake2s(device_id.encode(), digest_size=_DIGEST_BYTES, person=b"voxdev").hexdigest()


def clip_key(device_id: str, session_id: str, segment_id: int, arrived_s: float) -> str:
    """The key of a segment's sound; arrived_s: Unix seconds."""
    session = hashlib.blake2s(session_id.encode(), digest_size=_DIGEST_BYTES, person=b"voxses").hexdigest()
    return f"{device_digest(device_id)}/{day_of(arrived_s)}/{session}-{segment_id}.flac"


def day_of(moment_s: float) -> str:
    """The day, UTC, as keys have it; days sort as their names do."""
    return datetime.fromtimestamp(moment_s, UTC).strftime(_DAY)


def day_in(key: str) -> str | None:
    """The day that a key has; None if it is no clip's."""
    parts = key.split("/")
    try:
        return parts[-2] if datetime.strptime(parts[-2], _DAY).replace(tzinfo=UTC) else None
    except (IndexError, ValueError):
        return None
