"""How long each text and list of a device's messages may be; a test proves that none is left out.

The length of a whole message is bounded by gRPC (`limits.max_message_bytes`), numbers by their use.
"""

from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from voxloop_proto.errors import ContractError

MAX_NAME_CHARACTERS: Final = 64
MAX_LABEL_CHARACTERS: Final = 128
MAX_TYPED_CHARACTERS: Final = 10_000
MAX_TIMINGS: Final = 64

TEXTS: Final[dict[str, int]] = {
    "Hello.device_id": MAX_NAME_CHARACTERS,
    "Hello.device_kind": MAX_LABEL_CHARACTERS,
    "Hello.app_version": MAX_LABEL_CHARACTERS,
    "Hello.session_id": MAX_NAME_CHARACTERS,
    "Hello.resume_token": MAX_LABEL_CHARACTERS,
    "Hello.locale": MAX_NAME_CHARACTERS,
    "VadSettings.kind": MAX_NAME_CHARACTERS,
    "VadSettings.version": MAX_LABEL_CHARACTERS,
    "Consent.terms_version": MAX_LABEL_CHARACTERS,
    "StageTiming.stage": MAX_NAME_CHARACTERS,
    "FeedbackRequest.device_id": MAX_NAME_CHARACTERS,
    "FeedbackRequest.session_id": MAX_NAME_CHARACTERS,
    "FeedbackRequest.typed_instead": MAX_TYPED_CHARACTERS,
    "FeedbackRequest.corrected_text": MAX_TYPED_CHARACTERS,
    "EraseRequest.device_id": MAX_NAME_CHARACTERS,
}
"""By Message.field: the most characters."""

LISTS: Final[dict[str, int]] = {"EdgeReport.timings": MAX_TIMINGS}
"""By Message.field: the most items."""

CHECKED_WHERE_READ: Final = frozenset({"Hello.hotwords", "Audio.payload"})
"""Those that `read_hotwords` and `SegmentIntake` check: the ones are named by place, the other is looked at once."""


def check_lengths(message: Message) -> None:
    """Raises ContractError that names the field, never its text, if anything in the message is too long."""
    for field, value in message.ListFields():
        name = f"{message.DESCRIPTOR.name}.{field.name}"
        items = value if name in LISTS else (value,)
        if name in LISTS and len(items) > LISTS[name]:
            raise ContractError(f"{name} has {len(items)} items; allowed are {LISTS[name]}")
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in items:
                check_lengths(item)
        elif name in TEXTS and len(value) > TEXTS[name]:
            raise ContractError(f"{name} has {len(value)} characters; allowed are {TEXTS[name]}")
