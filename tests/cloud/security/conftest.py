"""Certificates and tokens to try things with, made once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voxloop_cloud.security.certificate_authority import CertificateAuthority, device_files
from voxloop_cloud.security.token_store import change_tokens
from voxloop_cloud.security.tokens import make_token


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `voxloop certificates DIR --device kitchen --device hall` makes it, with tokens of both beside it."""
    folder, now = tmp_path_factory.mktemp("certificates"), datetime.now(UTC)
    authority = CertificateAuthority.make("a test's CA", now)
    authority.save(folder)
    authority.issue_server(("localhost", "127.0.0.1"), folder / "server.pem", folder / "server.key", now)
    for device_id in ("kitchen", "hall"):
        authority.issue_device(device_id, *device_files(folder, device_id), now)
        text, record = make_token(device_id, now, timedelta(days=1))
        (folder / f"{device_id}.token").write_text(text, encoding="ascii")
        change_tokens(folder / "tokens.json", lambda book, record=record: book.add(record, now))  # type: ignore[misc]
    return folder
