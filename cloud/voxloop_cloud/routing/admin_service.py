"""The admin service of the contract: a thin shell around the policy's desk."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import grpc.aio

from voxloop_cloud.routing.policy import read_policy
from voxloop_cloud.routing.policy_version import MOST_LISTED, PolicyVersion
from voxloop_cloud.routing.routing import Routing
from voxloop_proto.audio import samples_to_ms
from voxloop_proto.errors import ConfigError, VoxloopError, row_of
from voxloop_proto.v1 import admin_pb2 as pb
from voxloop_proto.v1 import admin_pb2_grpc as pb_grpc

DEFAULT_MOST: Final = 100
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AdminServicer(pb_grpc.AdminServiceServicer):
    """Each call is refused unless `check` lets the caller in."""

    def __init__(self, routing: Routing, check: Callable[[str], str]) -> None:
        """check: gives the caller's name, or raises PermissionDeniedError; is told what the caller says of itself."""
        self._routing = routing
        self._check = check

    async def GetPolicy(  # noqa: N802 (the name is the contract's)
        self,
        request: pb.GetPolicyRequest,  # noqa: ARG002 (the signature is the contract's)
        context: _Context,
    ) -> pb.GetPolicyResponse:
        """What is in force, and what of it is loaded here."""
        async with _telling(context):
            self._check("")
            shadows = self._routing.shadows
            return pb.GetPolicyResponse(
                policy=_to_wire(self._routing.desk.in_force),
                bundles=self._bundles(),
                waiting_shadows=shadows.waiting,
                held_shadow_ms=round(samples_to_ms(shadows.held_samples)),
            )

    async def SetPolicy(  # noqa: N802 (the name is the contract's)
        self, request: pb.SetPolicyRequest, context: _Context
    ) -> pb.SetPolicyResponse:
        """Puts a policy in force."""
        async with _telling(context):
            author = self._check(request.author)
            policy = read_policy(request.document)
            new = await self._routing.desk.change(
                policy, author, request.reason, request.expected_version, request.unaudited
            )
            return pb.SetPolicyResponse(policy=_to_wire(new))

    async def ListPolicies(  # noqa: N802 (the name is the contract's)
        self, request: pb.ListPoliciesRequest, context: _Context
    ) -> pb.ListPoliciesResponse:
        """What was in force."""
        async with _telling(context):
            self._check("")
            found = await self._routing.desk.history(_most(request.most))
            return pb.ListPoliciesResponse(policies=map(_to_wire, found))

    async def ListVerdicts(  # noqa: N802 (the name is the contract's)
        self, request: pb.ListVerdictsRequest, context: _Context
    ) -> pb.ListVerdictsResponse:
        """What the evidence said."""
        async with _telling(context):
            self._check("")
            if self._routing.database is None:
                raise ConfigError("this server keeps no state, so it has no verdicts; start it with --state DIR")
            from voxloop_cloud.routing.verdict_list import list_verdicts  # noqa: PLC0415 (it loads SQLAlchemy)

            found = await asyncio.to_thread(
                list_verdicts, self._routing.database, request.bundle or None, _most(request.most)
            )
            return pb.ListVerdictsResponse(verdicts=found)

    def _bundles(self) -> list[pb.ServedBundle]:
        router, counts = self._routing.router, self._routing.shadows.counts
        loaded = {engine.key for engine in router.engines}
        return [
            pb.ServedBundle(
                bundle=key,
                is_loaded=key in loaded,
                failure=router.failures.get(key, ""),
                heard_shadows=counts.heard[key],
                dropped_shadows=counts.dropped[key],
                failed_shadows=counts.failed[key],
            )
            for key in sorted(router.in_force.policy.bundles)
        ]


@asynccontextmanager
async def _telling(context: _Context) -> AsyncIterator[None]:
    """An error of ours goes to the caller with its status."""
    try:
        yield
    except VoxloopError as error:
        await context.abort(row_of(error).status, error.message)


def _to_wire(version: PolicyVersion) -> pb.PolicyVersion:
    return pb.PolicyVersion(
        version=version.version,
        created_s=version.created_s,
        author=version.author,
        reason=version.reason,
        document=json.dumps(version.policy.to_document()),
    )


def _most(asked: int) -> int:
    return min(asked or DEFAULT_MOST, MOST_LISTED)
