"""Parts of a file, as players ask for them in order to jump."""

import re
from typing import Final

from starlette.responses import Response

_RANGE: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})", re.ASCII)


def ranged(content: bytes, media_type: str, asked: str | None) -> Response:
    """The whole, or the one part that is asked for (RFC 9110, 14.2); other kinds of ranges give the whole."""
    headers = {"Accept-Ranges": "bytes"}
    found = _RANGE.fullmatch(asked or "")
    if found is None:
        return Response(content, media_type=media_type, headers=headers)
    first = int(found[1])
    last = min(int(found[2]), len(content) - 1) if found[2] else len(content) - 1
    if first > last:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, media_type)
