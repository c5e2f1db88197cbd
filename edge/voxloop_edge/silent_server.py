"""A server that hears nothing: each segment's transcript is empty. For benchmarks and tests of the device.

`python -m voxloop_edge.silent_server` prints the port that it listens on, and serves until it is stopped.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from voxloop_proto.v1 import voxloop_pb2 as pb
from voxloop_proto.v1.voxloop_pb2_grpc import SpeechServiceServicer, add_SpeechServiceServicer_to_server


class SilentService(SpeechServiceServicer):
    """Every transcript is empty."""

    async def Recognize(  # noqa: N802 (the generated name)
        self, request_iterator: AsyncIterator[pb.RecognizeRequest], _context: Any
    ) -> AsyncIterator[pb.RecognizeResponse]:
        """Welcomes, and answers each segment's end."""
        async for request in request_iterator:
            match request.WhichOneof("payload"):
                case "hello":
                    yield pb.RecognizeResponse(welcome=pb.Welcome(schema_version=request.hello.schema_version))
                case "segment_end":
                    transcript = pb.Transcript(segment_id=request.segment_end.segment_id)
                    yield pb.RecognizeResponse(transcript=transcript)
                case _:
                    pass

    async def Feedback(self, _request: pb.FeedbackRequest, _context: Any) -> pb.FeedbackResponse:  # noqa: N802
        """Takes it and forgets it."""
        return pb.FeedbackResponse()

    async def Erase(self, _request: pb.EraseRequest, _context: Any) -> pb.EraseResponse:  # noqa: N802
        """There is nothing to erase."""
        return pb.EraseResponse()

    async def GetServerInfo(  # noqa: N802
        self, _request: pb.GetServerInfoRequest, _context: Any
    ) -> pb.GetServerInfoResponse:
        """Serves no bundle."""
        return pb.GetServerInfoResponse(server_version="silent")


async def serve() -> None:
    """Listens on a free port of this machine, prints it, and serves until it is cancelled."""
    server = grpc.aio.server()
    add_SpeechServiceServicer_to_server(SilentService(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 (its one output)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
