"""Why a connection broke, as one error of ours."""

import re

import grpc
import grpc.aio

from voxloop_edge.call_error import to_error
from voxloop_edge.client_config import ClientConfig
from voxloop_proto.contract import RETRY_AFTER_METADATA_KEY
from voxloop_proto.errors import UnavailableError, VoxloopError

_RACE_DETAILS = "Internal error from Core"
"""What grpc.aio says instead of the true status when a message is written just as the call ends."""
_RETRY_AFTER = re.compile("[0-9]{1,9}")


def cause_of(broken: BaseException, config: ClientConfig, was_open: bool) -> VoxloopError:
    """The first error of ours, or of gRPC, that broke a connection; anything else is a bug and is raised."""
    while isinstance(broken, BaseExceptionGroup):
        broken = broken.exceptions[0]
    if isinstance(broken, grpc.aio.AioRpcError):
        if broken.code() is grpc.StatusCode.INTERNAL and broken.details() == _RACE_DETAILS:
            return UnavailableError("the connection broke while something was being sent")
        error = to_error(broken, config, was_open)
        error.retry_after_ms = _retry_after_ms(broken)
        return error
    if isinstance(broken, VoxloopError):
        return broken
    raise broken


def _retry_after_ms(error: grpc.aio.AioRpcError) -> int:
    for key, value in error.trailing_metadata() or ():
        if key == RETRY_AFTER_METADATA_KEY and _RETRY_AFTER.fullmatch(str(value)):
            return int(value)
    return 0
