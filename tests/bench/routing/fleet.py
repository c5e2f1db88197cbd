"""A store with two bundles, servers on it, and their admin."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio

from voxloop_cloud.bundle import CONFIG_FILE, STORE_VARIABLE, load_bundle, write_checksums
from voxloop_cloud.routing.policy import Policy
from voxloop_proto.v1 import admin_pb2 as pb
from voxloop_proto.v1.admin_pb2_grpc import AdminServiceStub


def copy_bundle(bundle: Path, store: Path) -> list[str]:
    """Puts a bundle into a new store under another version; gives the keys of both."""
    folder = store / "copy"
    shutil.copytree(bundle, folder)
    file = folder / CONFIG_FILE
    file.write_text(re.sub(r'(?m)^version = "(.*)"$', r'version = "\1-copy"', file.read_text(), count=1))
    write_checksums(folder)
    return [load_bundle(bundle).key, load_bundle(folder).key]


@contextmanager
def serving(bundle: Path, store: Path, state: Path, cores: str) -> Iterator[str]:
    """A server with a bundle until the block is left; gives its address. cores: as of taskset."""
    environment = os.environ | {STORE_VARIABLE: str(store), "VOXLOOP_MAX_STREAMS": "100000"}
    command = ["taskset", "-c", cores, sys.executable, "-m", "voxloop_proto.cli", "serve", "--insecure"]
    command += ["--bundle", str(bundle)]
    command += ["--listen", "127.0.0.1:0", "--log-level", "error", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        found = re.search(r"listening on ([^\s,]+)", process.stdout.readline())
        assert found is not None, "the server did not start; it said why above"
        yield found.group(1)
    finally:
        process.terminate()
        process.wait(timeout=30)


class Admin:
    """Changes the policy, always from the version in force."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = AdminServiceStub(channel)  # the generated stub is the asynchronous one when its channel is

    async def found(self) -> pb.GetPolicyResponse:
        """What is in force, and what is loaded."""
        found: pb.GetPolicyResponse = await self._stub.GetPolicy(pb.GetPolicyRequest())
        return found

    async def put(self, policy: Policy, version: int) -> int:
        """Puts a policy in the place of this version; returns its own."""
        request = pb.SetPolicyRequest(
            document=json.dumps(policy.to_document()), reason="a measurement", expected_version=version, author="bench"
        )
        return int((await self._stub.SetPolicy(request)).policy.version)
