"""A server that tries bundles out, with the settings of a test."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.conftest import ServerProcess

from voxloop_cloud.routing.admin_client import AdminClient, AdminConfig
from voxloop_cloud.routing.policy import Policy
from voxloop_proto.v1 import admin_pb2


@contextmanager
def serving(bundle: Path, tmp_path: Path, settings: str, *flags: object) -> Iterator[ServerProcess]:
    """Settings are TOML. Shadows are not paced: what that is for has its own tests, and a test's time is short."""
    config = tmp_path / "serve.toml"
    config.write_text(settings, encoding="utf-8")
    process = ServerProcess(bundle, "--state", tmp_path / "state", "--config", config, *flags, engine__shadow_ratio=1.0)
    process.start()
    try:
        yield process
    finally:
        if process.is_running:
            assert process.terminate() == 0


def client(server: ServerProcess) -> AdminClient:
    """An admin of its."""
    return AdminClient(AdminConfig(server=server.address, insecure=True))


def put(
    admin: AdminClient, policy: Policy, reason: str = "a test", unaudited: tuple[str, ...] = ()
) -> admin_pb2.PolicyVersion:
    """Puts a policy in force over whichever is."""
    document = json.dumps(policy.to_document())
    return admin.set_policy(document, reason, admin.policy().policy.version, unaudited, "ann")
