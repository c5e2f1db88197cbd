"""Spoils messages of the contract by its own schema: any field may get any value that the wire can carry."""

from collections.abc import MutableSequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from tests.fuzz.choices import Choices

_INTEGERS = (0, 1, 2, 3, 1 << 31, (1 << 32) - 1, 1 << 60, (1 << 63) - 1, (1 << 64) - 1, -1, -(1 << 31), -(1 << 63))
_FLOATS = (0.0, -1.0, 1e-45, 3.4e38, float("nan"), float("inf"), float("-inf"))
_TEXTS = ("", "\0", "../../etc", "a" * 70_000, "\u202e", "\U0001f600", "%s{}", "1" * 5_000)
_MOST_REPEATED = 2_100
_BITS = {
    FieldDescriptor.TYPE_UINT32: (0, 32),
    FieldDescriptor.TYPE_INT32: (32, 31),
    FieldDescriptor.TYPE_UINT64: (0, 64),
    FieldDescriptor.TYPE_INT64: (64, 63),
    FieldDescriptor.TYPE_ENUM: (32, 31),
}
"""The least value as bits below zero, and the most as bits above."""


def spoil(messages: MutableSequence[Message], choices: Choices) -> None:
    """Changes a stream of messages by as many faults as there are bytes for: order, number, fields, raw bytes."""
    while not choices.used_up and messages:
        place = choices.below(min(256, len(messages)))
        match choices.below(8):
            case 0:
                del messages[place]
            case 1:
                messages.insert(place, _copy(messages[place]))
            case 2:
                messages[place], messages[place - 1] = messages[place - 1], messages[place]
            case 3:
                messages[place] = type(messages[place])()
            case 4:
                messages[place] = _from_bytes(messages[place], choices.take(choices.below(64)))
            case _:
                _spoil_field(messages[place], choices)


def _copy(message: Message) -> Message:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _from_bytes(message: Message, tail: bytes) -> Message:
    """The message with bytes written after its own, as fields that follow; itself if gRPC would refuse that."""
    changed = _copy(message)
    try:
        changed.MergeFromString(tail)
    except DecodeError:
        return message
    return changed


def _spoil_field(message: Message, choices: Choices) -> None:
    fields: list[Any] = list(message.DESCRIPTOR.fields)  # FieldDescriptors of whichever protobuf runtime there is
    field = choices.pick(fields)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        held = getattr(message, field.name)
        if not field.is_repeated:
            _spoil_field(held, choices)
        elif len(held) < _MOST_REPEATED:
            _spoil_field(held.add(), choices)
    elif field.is_repeated:
        held = getattr(message, field.name)
        held.extend([_value(field, choices)] * choices.pick((1, 2, 64, _MOST_REPEATED - len(held))))
    else:
        setattr(message, field.name, _value(field, choices))


def _value(field: FieldDescriptor, choices: Choices) -> Any:  # any field's type
    if field.type in _BITS:
        below, above = _BITS[field.type]
        least = -(1 << (below - 1)) if below else 0
        return min(max(choices.pick(_INTEGERS), least), (1 << above) - 1)
    match field.type:
        case FieldDescriptor.TYPE_FLOAT | FieldDescriptor.TYPE_DOUBLE:
            return choices.pick(_FLOATS)
        case FieldDescriptor.TYPE_BOOL:
            return bool(choices.below(2))
        case FieldDescriptor.TYPE_BYTES:
            return choices.pick((choices.take(16), choices.take(16) * 5_000))
        case _:
            return choices.pick((*_TEXTS, choices.take(8).decode(errors="replace")))
