"""Fetches one file by URL, and believes it only if its checksum is the one expected."""

import hashlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any

from voxloop_proto import __version__
from voxloop_proto.errors import ConfigError, ContractError, UnavailableError

MAX_DOWNLOAD_BYTES = 2 * 2**30
TIMEOUT_S = 30.0
_READ_BYTES = 1 << 18

Progress = Callable[[int, int | None], None]
"""Told the bytes so far, and of all if the server says so."""


def download(
    url: str,
    sha256: str,
    target: Path,
    progress: Progress = lambda _done, _all: None,
    max_bytes: int = MAX_DOWNLOAD_BYTES,
) -> None:
    """Writes what the URL (https: or file:) gives to a new file.

    Raises ConfigError for a URL or checksum that isn't one, UnavailableError if it can't be had now, ContractError if
    it is too large or has another checksum.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ConfigError(
            f"checksum {sha256!r}; allowed are the 64 hex digits of a SHA-256, from who offers the bundle"
        )
    _check_scheme(url)
    digest = hashlib.sha256()
    try:
        with _open(url) as source, target.open("xb") as file:
            length = source.headers.get("Content-Length")
            total_bytes = int(length) if length and length.isdigit() else None
            done_bytes = 0
            while piece := source.read(_READ_BYTES):
                done_bytes += len(piece)
                if max(done_bytes, total_bytes or 0) > max_bytes:
                    raise ContractError(f"{url} has more than {max_bytes} bytes, the most allowed; it is no bundle")
                digest.update(piece)
                file.write(piece)
                progress(done_bytes, total_bytes)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        raise UnavailableError(f"{url} cannot be fetched ({error}); check the address and the network") from error
    if digest.hexdigest() != sha256.lower():
        raise ContractError(
            f"{url} has the SHA-256 {digest.hexdigest()}, expected was {sha256.lower()}; nothing was unpacked; "
            "check both with who offers the bundle"
        )


class HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https, and to nothing else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise ContractError(
                f"{req.full_url} redirects to {newurl}; allowed is https only; ask who offers the bundle"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("https", "file"):
        raise ConfigError(
            f"URL {url!r} has the scheme {scheme or 'none'!r}; allowed are https and file; give such a URL"
        )


def _open(url: str) -> Any:  # the library's: an HTTPResponse or an addinfourl
    opener = urllib.request.build_opener(HttpsOnly)
    request = urllib.request.Request(url, headers={"User-Agent": f"voxloop/{__version__}"})
    return opener.open(request, timeout=TIMEOUT_S)
