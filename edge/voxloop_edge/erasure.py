"""Asks the server to erase all that it keeps of this device."""

from typing import Final, NamedTuple

import grpc.aio

from voxloop_edge.call_error import to_error
from voxloop_edge.channel import open_channel, open_stub
from voxloop_edge.client_config import ClientConfig
from voxloop_proto.v1 import voxloop_pb2 as pb

TIME_LIMIT_S: Final = 300.0
"""A device of years has many utterances. What a call that ended early has erased is erased; the next one goes on."""


class Erased(NamedTuple):
    """What is not on the server any more. sound_bytes: as the clips were kept."""

    utterances: int
    sound_bytes: int


async def send_erase(config: ClientConfig, device_id: str) -> Erased:
    """Asks once; the second time finds what has come since. Raises the server's refusal."""
    async with open_channel(config) as channel:
        try:
            answer = await open_stub(channel).Erase(pb.EraseRequest(device_id=device_id), timeout=TIME_LIMIT_S)
        except grpc.aio.AioRpcError as error:
            raise to_error(error, config) from error
    return Erased(answer.erased_utterances, answer.erased_bytes)
