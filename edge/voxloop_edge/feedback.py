"""Tells the server what a user did with a transcript."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from voxloop_edge.call_error import to_error
from voxloop_edge.channel import open_channel, open_stub
from voxloop_edge.client_config import ClientConfig
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import voxloop_pb2 as pb

TIME_LIMIT_S = 20.0


class SegmentName(NamedTuple):
    """Which transcript is meant."""

    session_id: str
    segment_id: int


async def send_feedback(config: ClientConfig, feedback: pb.FeedbackRequest) -> None:
    """Sends it, once. Raises the server's refusal; ConfigError if the server has no such utterance."""
    async with open_channel(config) as channel:
        try:
            await open_stub(channel).Feedback(feedback, timeout=TIME_LIMIT_S)
        except grpc.aio.AioRpcError as error:
            raise to_error(error, config) from error


def last_said(journal: Path) -> SegmentName:
    """The last transcript in a journal of `voxloop listen --transcripts`.

    Raises ConfigError if there is none, or the file is no journal.
    """
    try:
        last = deque(_transcripts(journal), maxlen=1)
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{journal} is no journal; name the file of 'voxloop listen --transcripts FILE'") from None
    except OSError as error:
        raise ConfigError(f"cannot read {journal}: {error.strerror}; name a file that is there") from error
    if not last:
        raise ConfigError(f"{journal} holds no transcript yet; name SESSION and SEGMENT")
    return last[0]


def _transcripts(journal: Path) -> Iterator[SegmentName]:
    with journal.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return  # is being written, or was cut off
            found = json.loads(line)
            if found["outcome"] in ("transcript", "superseding"):
                yield SegmentName(str(found["session"]), int(found["segment"]))
