"""The error table is total: every class, every code and every status has its place, both ways."""

import inspect

import grpc
import pytest

from voxloop_proto import errors
from voxloop_proto.errors import ERROR_TABLE, VoxloopError, from_failure, from_status, row_of, to_failure
from voxloop_proto.v1 import voxloop_pb2 as pb

CLASSES = sorted(
    (found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, VoxloopError)),
    key=lambda found: found.__name__,
)
LEAVES = [found for found in CLASSES if found is not VoxloopError]
CODES = [code for code in pb.FailureCode.values() if code != pb.FAILURE_CODE_UNSPECIFIED]


def subclasses(root: type[VoxloopError]) -> set[type[VoxloopError]]:
    direct = set(root.__subclasses__())
    return direct.union(*(subclasses(found) for found in direct)) if direct else set()


def test_every_error_class_has_one_row_and_every_row_a_class() -> None:
    assert sorted(row.error.__name__ for row in ERROR_TABLE) == [found.__name__ for found in LEAVES]


def test_no_error_class_is_defined_outside_the_tree() -> None:
    assert subclasses(VoxloopError) == set(LEAVES)


def test_every_code_of_the_wire_has_one_row() -> None:
    assert sorted(row.code for row in ERROR_TABLE) == sorted(CODES)


@pytest.mark.parametrize("column", ["code", "status", "exit_code"])
def test_no_two_errors_look_alike(column: str) -> None:
    values = [getattr(row, column) for row in ERROR_TABLE]
    assert len(set(values)) == len(values)


def test_exit_codes_are_neither_success_nor_a_crash() -> None:
    assert all(2 <= row.exit_code < 64 for row in ERROR_TABLE)


@pytest.mark.parametrize("error", LEAVES, ids=lambda found: found.__name__)
def test_an_error_survives_the_wire(error: type[VoxloopError]) -> None:
    sent = error("chunk of 17 ms; the VAD takes 10, 20 or 30 ms", retry_after_ms=250)
    failure = pb.Failure.FromString(to_failure(sent, segment_id=7).SerializeToString())
    received = from_failure(failure)
    assert type(received) is error
    assert (received.message, received.retry_after_ms) == (sent.message, 250)
    assert (failure.segment_id, failure.retryable) == (7, row_of(sent).retryable)


@pytest.mark.parametrize("row", ERROR_TABLE, ids=lambda row: row.error.__name__)
def test_an_error_survives_being_a_grpc_status(row: errors.ErrorRow) -> None:
    assert type(from_status(row.status, "details")) is row.error


@pytest.mark.parametrize("status", [s for s in grpc.StatusCode if s is not grpc.StatusCode.OK], ids=lambda s: s.name)
def test_every_grpc_status_stands_for_an_error_with_its_details(status: grpc.StatusCode) -> None:
    found = from_status(status, "what the peer said")
    assert type(found) in LEAVES
    assert found.message == "what the peer said"


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED]
)
def test_a_lost_connection_may_be_tried_again(status: grpc.StatusCode) -> None:
    assert row_of(from_status(status, "")).retryable


def test_a_code_of_a_newer_schema_is_a_fault_of_the_service() -> None:
    unknown = pb.Failure(message="from the future")
    unknown.MergeFromString(bytes([pb.Failure.CODE_FIELD_NUMBER << 3, 99]))
    assert type(from_failure(unknown)) is errors.ModelError
    assert type(from_failure(pb.Failure())) is errors.ModelError


def test_the_tree_at_the_top_of_the_file_names_every_class() -> None:
    drawn = errors.__doc__ or ""
    assert all(found.__name__ in drawn for found in CLASSES)
