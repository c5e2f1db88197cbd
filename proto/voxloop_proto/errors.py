"""Every error that voxloop raises on purpose, by who must act.

VoxloopError
├── ConfigError            the operator: a setting, a path, a missing extra
├── ContractError          the peer: a message or a bundle that breaks the contract
├── OverloadError          nobody: too much at once, retry later
├── UnavailableError       the network, or a model that is away: retry later
├── DataError              the owner of the data: a file that is not what it says
├── ModelError             us: the recognizer failed
├── UnauthenticatedError   the device's owner: its token or certificate is missing, wrong or out of date
└── PermissionDeniedError  the device's owner: it is known, and asks for what is another's

A message says what was found, what is allowed, and what to do next.
One table maps each class to the wire's FailureCode and to gRPC's status, and back.
"""

from dataclasses import dataclass
from typing import Final

import grpc

from voxloop_proto.v1 import voxloop_pb2 as pb


class VoxloopError(Exception):
    """The root of the tree; its subclasses are raised, never itself."""

    def __init__(self, message: str, *, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_ms = retry_after_ms


class ConfigError(VoxloopError):
    """The operator must change a setting."""


class ContractError(VoxloopError):
    """The peer must change what it sends, or the bundle what it holds."""


class OverloadError(VoxloopError):
    """Too much at once; the same is fine later."""


class UnavailableError(VoxloopError):
    """The network, a model or a store is away; the same is fine later."""


class DataError(VoxloopError):
    """The audio or data set is not what it claims to be."""


class ModelError(VoxloopError):
    """The recognizer failed: a fault of ours."""


class UnauthenticatedError(VoxloopError):
    """The device's owner must give it a token or certificate that the server takes."""


class PermissionDeniedError(VoxloopError):
    """The device's owner must let it act as itself alone."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One line of the table: what an error is on the wire, and as an exit code of a command."""

    error: type[VoxloopError]
    code: pb.FailureCode.ValueType
    status: grpc.StatusCode
    retryable: bool
    exit_code: int


ERROR_TABLE: tuple[ErrorRow, ...] = (
    ErrorRow(ConfigError, pb.FAILURE_CODE_CONFIG, grpc.StatusCode.FAILED_PRECONDITION, False, 2),
    ErrorRow(ContractError, pb.FAILURE_CODE_CONTRACT, grpc.StatusCode.INVALID_ARGUMENT, False, 3),
    ErrorRow(OverloadError, pb.FAILURE_CODE_OVERLOAD, grpc.StatusCode.RESOURCE_EXHAUSTED, True, 4),
    ErrorRow(UnavailableError, pb.FAILURE_CODE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, True, 5),
    ErrorRow(DataError, pb.FAILURE_CODE_DATA, grpc.StatusCode.DATA_LOSS, False, 6),
    ErrorRow(ModelError, pb.FAILURE_CODE_MODEL, grpc.StatusCode.INTERNAL, False, 7),
    ErrorRow(UnauthenticatedError, pb.FAILURE_CODE_UNAUTHENTICATED, grpc.StatusCode.UNAUTHENTICATED, False, 8),
    ErrorRow(PermissionDeniedError, pb.FAILURE_CODE_PERMISSION_DENIED, grpc.StatusCode.PERMISSION_DENIED, False, 9),
)

_ROW_OF_ERROR = {row.error: row for row in ERROR_TABLE}
_ROW_OF_CODE = {row.code: row for row in ERROR_TABLE}

# Every status that gRPC itself or a proxy between the two ends may give, and who must act then.
_ERROR_OF_STATUS: dict[grpc.StatusCode, type[VoxloopError]] = {
    **{row.status: row.error for row in ERROR_TABLE},
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.UNKNOWN: ModelError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    grpc.StatusCode.NOT_FOUND: ConfigError,
    grpc.StatusCode.ALREADY_EXISTS: ContractError,
    grpc.StatusCode.ABORTED: UnavailableError,
    grpc.StatusCode.OUT_OF_RANGE: ContractError,
    grpc.StatusCode.UNIMPLEMENTED: ContractError,
}


def row_of(error: VoxloopError) -> ErrorRow:
    """The table's line for an error."""
    return _ROW_OF_ERROR[type(error)]


def to_failure(error: VoxloopError, segment_id: int = 0) -> pb.Failure:
    """The error as it goes over the wire; segment_id 0 means the whole session."""
    row = row_of(error)
    return pb.Failure(
        segment_id=segment_id,
        code=row.code,
        message=error.message,
        retryable=row.retryable,
        retry_after_ms=error.retry_after_ms,
    )


def from_failure(failure: pb.Failure) -> VoxloopError:
    """The error that a Failure stands for; a code from a newer schema is a ModelError."""
    row = _ROW_OF_CODE.get(failure.code)
    error = row.error if row else ModelError
    return error(failure.message, retry_after_ms=failure.retry_after_ms)


_NOBODY: Final = "Connection refused"


def from_status(status: grpc.StatusCode, details: str, server: str = "") -> VoxloopError:
    """The error that a gRPC status stands for. Total over all statuses but OK.

    server: its address, to be named where nobody listens; gRPC's own words for that help nobody.
    """
    if server and status is grpc.StatusCode.UNAVAILABLE and _NOBODY in details:
        details = f"no server at {server}: start one ('voxloop serve') or name it with --server"
    return _ERROR_OF_STATUS[status](details)
