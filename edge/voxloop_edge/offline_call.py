"""One segment's text from a server of the device's own, in a session for that segment alone."""

import asyncio
import uuid
from collections.abc import Sequence

import grpc.aio

from voxloop_edge.channel import open_stub
from voxloop_edge.hello import are_hotwords_ignored
from voxloop_proto.errors import ModelError, UnavailableError, from_failure, from_status
from voxloop_proto.v1 import voxloop_pb2 as pb


class OfflineCall:
    """Asks for whole segments; hello: of the session that they were spoken in."""

    def __init__(self, channel: grpc.aio.Channel, hello: pb.Hello, timeout_ms: int) -> None:
        self._stub = open_stub(channel)
        self._hello = hello
        self._timeout_s = timeout_ms / 1000.0

    async def transcribe(self, messages: Sequence[pb.RecognizeRequest]) -> pb.Transcript:
        """The text of a segment's messages. Raises the server's refusal, and UnavailableError if it says nothing."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(messages)
        except TimeoutError:
            raise UnavailableError(f"the local server was silent for {self._timeout_s:.1f} s") from None
        except grpc.aio.AioRpcError as error:
            raise from_status(error.code(), error.details() or "") from error

    async def _ask(self, messages: Sequence[pb.RecognizeRequest]) -> pb.Transcript:
        hello = pb.Hello()
        hello.CopyFrom(self._hello)
        hello.session_id, hello.resume_token, hello.interim_results = uuid.uuid4().hex, "", False
        transcript: pb.Transcript | None = None
        call = self._stub.Recognize(iter([pb.RecognizeRequest(hello=hello), *messages]))
        try:
            async for response in call:
                match response.WhichOneof("payload"):
                    case "welcome":
                        are_hotwords_ignored(hello, response.welcome)
                    case "transcript":
                        transcript = response.transcript
                    case "failure":
                        raise from_failure(response.failure)
        finally:
            call.cancel()
        if transcript is None:
            raise ModelError("the local server ended without a transcript")
        return transcript
