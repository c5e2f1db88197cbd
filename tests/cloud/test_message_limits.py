"""Every text, list and blob that a device can send has a bound, and the bound is where it says."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from voxloop_cloud.message_limits import CHECKED_WHERE_READ, LISTS, TEXTS, check_lengths
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb

REQUESTS = [method.input_type for method in pb.DESCRIPTOR.services_by_name["SpeechService"].methods]
VARIABLE = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def fields_of(descriptor: Descriptor) -> Iterator[FieldDescriptor]:
    for field in descriptor.fields:
        yield field
        if field.message_type is not None:
            yield from fields_of(field.message_type)


def owner_of(field: FieldDescriptor) -> Descriptor:
    assert field.containing_type is not None
    return field.containing_type


def name_of(field: FieldDescriptor) -> str:
    return f"{owner_of(field).name}.{field.name}"


FIELDS = {name_of(field): field for request in REQUESTS for field in fields_of(request)}


def test_no_text_list_or_blob_of_a_device_is_without_a_bound() -> None:
    texts = {name for name, field in FIELDS.items() if field.type in VARIABLE}
    lists = {name for name, field in FIELDS.items() if field.is_repeated}
    assert texts == TEXTS.keys() | CHECKED_WHERE_READ
    assert lists - CHECKED_WHERE_READ == LISTS.keys()


def message_with(name: str, count: int) -> Message:
    """The message that holds a field, the field as long as `count`."""
    field = FIELDS[name]
    message = GetMessageClass(owner_of(field))()
    if field.is_repeated:
        for _ in range(count):
            getattr(message, field.name).add()
    else:
        setattr(message, field.name, "\u00e9" * count)  # a character, not a byte
    return message


@pytest.mark.parametrize(("name", "most"), sorted((TEXTS | LISTS).items()))
def test_a_field_may_be_as_long_as_its_bound_and_no_longer(name: str, most: int) -> None:
    check_lengths(message_with(name, most))
    with pytest.raises(ContractError, match=rf"{name} has {most + 1} \w+; allowed are {most}"):
        check_lengths(message_with(name, most + 1))


def test_what_lies_deeper_is_looked_at_too() -> None:
    long = pb.StageTiming(stage="x" * 1_000)
    for message in (
        pb.SegmentEnd(report=pb.EdgeReport(timings=[pb.StageTiming(stage="vad"), long])),
        pb.Hello(vad=pb.VadSettings(version="x" * 1_000)),
        pb.Hello(consent=pb.Consent(terms_version="x" * 1_000)),
    ):
        with pytest.raises(ContractError, match="has 1000 characters"):
            check_lengths(message)
