"""The admin service through its real port: who may call, what is told, what is written down."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import sqlalchemy
from sqlalchemy import insert
from tests.cloud.routing.conftest import FIRST, SECOND
from tests.cloud.routing.speech import run

from voxloop_cloud.engine import EngineConfig
from voxloop_cloud.routing.policy import Policy
from voxloop_cloud.routing.policy_steps import with_canary
from voxloop_cloud.security.token_store import change_tokens
from voxloop_cloud.security.tokens import Role, make_token
from voxloop_cloud.server import ServerConfig, open_server
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_cloud.store.tables import VERDICTS
from voxloop_proto.v1 import admin_pb2 as pb
from voxloop_proto.v1.admin_pb2_grpc import AdminServiceStub

ALONE = Policy.of_one(FIRST)
Stub = Any  # the generated stub is the asynchronous one when its channel is
Metadata = tuple[tuple[str, str], ...]


@asynccontextmanager
async def open_admin(shelf: Path, tmp_path: Path, **settings: Any) -> AsyncIterator[Stub]:
    config = ServerConfig(
        listen="127.0.0.1:0",
        insecure=True,
        drain_ms=100,
        engine=EngineConfig(bundle=str(shelf / "tiny-1")),
        **({"store": StoreConfig(state=tmp_path / "state")} | settings),
    )
    async with open_server(config) as address, grpc.aio.insecure_channel(address) as channel:
        yield AdminServiceStub(channel)


def request_of(policy: Policy, expected_version: int = 1, **more: Any) -> pb.SetPolicyRequest:
    document = json.dumps(policy.to_document())
    fields: dict[str, Any] = {
        "document": document,
        "reason": "a test",
        "expected_version": expected_version,
        "author": "ann",
    }
    return pb.SetPolicyRequest(**(fields | more))


def token_of(file: Path, name: str, role: Role) -> Metadata:
    """Issues one; as a call shows it."""
    now = datetime.now(UTC)
    text, record = make_token(name, now, timedelta(days=1), role)
    change_tokens(file, lambda book: book.add(record, now))
    return (("authorization", f"Bearer {text}"),)


async def refused(call: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call()
    return found.value.code(), found.value.details() or ""


def test_a_policy_is_set_shown_and_listed(shelf: Path, tmp_path: Path) -> None:
    async def test() -> None:
        async with open_admin(shelf, tmp_path) as stub:
            first = await stub.GetPolicy(pb.GetPolicyRequest())
            assert (first.policy.version, json.loads(first.policy.document)) == (1, ALONE.to_document())
            canary = with_canary(ALONE, SECOND, 0.25)
            answer = await stub.SetPolicy(request_of(canary))
            assert (answer.policy.version, answer.policy.author, answer.policy.reason) == (2, "ann", "a test")
            shown = await stub.GetPolicy(pb.GetPolicyRequest())
            assert shown.policy == answer.policy
            assert [(each.bundle, each.is_loaded) for each in shown.bundles] == [(FIRST, True), (SECOND, True)]
            listed = await stub.ListPolicies(pb.ListPoliciesRequest())
            assert [each.version for each in listed.policies] == [2, 1]
            assert len((await stub.ListPolicies(pb.ListPoliciesRequest(most=1))).policies) == 1

    run(test())


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (request_of(ALONE, expected_version=7), grpc.StatusCode.FAILED_PRECONDITION, "was to change version 7"),
        (request_of(ALONE, reason=""), grpc.StatusCode.FAILED_PRECONDITION, "the reason has 0 characters"),
        (request_of(ALONE, document="{"), grpc.StatusCode.FAILED_PRECONDITION, "is not JSON"),
        (request_of(with_canary(ALONE, "no@1", 0.1)), grpc.StatusCode.FAILED_PRECONDITION, "no bundle no@1"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_a_sentence(
    shelf: Path, tmp_path: Path, request_: pb.SetPolicyRequest, status: grpc.StatusCode, said: str
) -> None:
    async def test() -> None:
        async with open_admin(shelf, tmp_path) as stub:
            code, details = await refused(lambda: stub.SetPolicy(request_))
            assert code == status
            assert said in details
            assert (await stub.GetPolicy(pb.GetPolicyRequest())).policy.version == 1

    run(test())


def test_only_an_admins_token_may_and_what_it_did_is_written_down(shelf: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    device, admin = token_of(tokens, "kitchen", Role.DEVICE), token_of(tokens, "ann", Role.ADMIN)

    async def test() -> None:
        async with open_admin(shelf, tmp_path, tokens=tokens) as stub:
            for call in (
                lambda shown: stub.GetPolicy(pb.GetPolicyRequest(), metadata=shown),
                lambda shown: stub.SetPolicy(request_of(with_canary(ALONE, SECOND, 0.5)), metadata=shown),
                lambda shown: stub.ListPolicies(pb.ListPoliciesRequest(), metadata=shown),
                lambda shown: stub.ListVerdicts(pb.ListVerdictsRequest(), metadata=shown),
            ):
                assert (await refused(partial(call, ())))[0] == grpc.StatusCode.UNAUTHENTICATED
                code, details = await refused(partial(call, device))
                assert code == grpc.StatusCode.PERMISSION_DENIED
                assert "kitchen has the role device, and this takes an admin" in details
            claimed = request_of(with_canary(ALONE, SECOND, 0.5), author="somebody else")
            answer = await stub.SetPolicy(claimed, metadata=admin)
            assert answer.policy.author == "ann"
            await refused(lambda: stub.SetPolicy(claimed, metadata=admin))

    run(test())
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    done = [(line["action"], line["who"]) for line in lines if line["action"].startswith("policy.")]
    assert done == [("policy.set", "ann"), ("policy.refused", "ann")]
    assert sum(line["action"] == "call.refused" for line in lines) == 8
    assert "voxloop_" not in (tmp_path / "audit.jsonl").read_text()


def test_a_port_that_asks_nobody_has_no_admins_unless_it_is_this_machines_alone(shelf: Path, tmp_path: Path) -> None:
    async def test() -> None:
        wide: dict[str, Any] = {"listen": "0.0.0.0:0", "insecure_beyond_loopback": True}
        config = ServerConfig(insecure=True, drain_ms=100, engine=EngineConfig(bundle=str(shelf / "tiny-1")), **wide)
        async with open_server(config) as address:
            port = address.rpartition(":")[2]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub: Stub = AdminServiceStub(channel)
                code, details = await refused(lambda: stub.GetPolicy(pb.GetPolicyRequest()))
                assert code == grpc.StatusCode.PERMISSION_DENIED
                assert "start it with --tokens FILE" in details

    run(test())


def test_a_server_without_state_shows_its_fixed_policy_and_keeps_it(shelf: Path, tmp_path: Path) -> None:
    async def test() -> None:
        async with open_admin(shelf, tmp_path, store=StoreConfig()) as stub:
            shown = await stub.GetPolicy(pb.GetPolicyRequest())
            assert (shown.policy.version, json.loads(shown.policy.document)) == (0, ALONE.to_document())
            for call in (
                lambda: stub.SetPolicy(request_of(ALONE, expected_version=0)),
                lambda: stub.ListVerdicts(pb.ListVerdictsRequest()),
            ):
                code, details = await refused(call)
                assert code == grpc.StatusCode.FAILED_PRECONDITION
                assert "--state DIR" in details

    run(test())


def test_verdicts_are_listed_by_bundle_the_newest_first(shelf: Path, tmp_path: Path) -> None:
    def row(number: int, bundle: str) -> dict[str, object]:
        found = {"created_s": float(number), "bundle": bundle, "against": FIRST, "kind": "hold", "policy_version": 1}
        return found | {"evidence": {"count": number}, "text": f"verdict {number}"}

    async def test() -> None:
        async with open_admin(shelf, tmp_path) as stub:
            database = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'state' / 'voxloop.db'}")
            with database.begin() as connection:
                rows = [row(number, SECOND if number % 2 else FIRST) for number in range(4)]
                connection.execute(insert(VERDICTS), rows)
            database.dispose()
            found = (await stub.ListVerdicts(pb.ListVerdictsRequest(bundle=SECOND))).verdicts
            assert [(each.text, json.loads(each.evidence)) for each in found] == [
                ("verdict 3", {"count": 3}),
                ("verdict 1", {"count": 1}),
            ]
            everything = await stub.ListVerdicts(pb.ListVerdictsRequest(most=3))
            assert [each.created_s for each in everything.verdicts] == [3.0, 2.0, 1.0]

    run(test())
