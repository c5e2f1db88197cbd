"""One device's stream on the server: what may come when, and what is answered."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from voxloop_cloud.admission import Place, open_to_all
from voxloop_cloud.decoder import Hypothesis
from voxloop_cloud.hotword_list import read_hotwords
from voxloop_cloud.intake import SegmentIntake
from voxloop_cloud.limits import Limits, check_hello
from voxloop_cloud.records.heard import Recorder, heard_of
from voxloop_cloud.results import ResultStore, SessionResults
from voxloop_cloud.routing.segment_route import SegmentRoute
from voxloop_cloud.routing.session_route import Routes, SessionRoute
from voxloop_cloud.security.rate_limit import DeviceRate, DeviceRates
from voxloop_cloud.transcript import to_transcript
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.contract import SCHEMA_VERSION
from voxloop_proto.errors import ContractError, OverloadError, VoxloopError, to_failure
from voxloop_proto.v1 import voxloop_pb2 as pb

if TYPE_CHECKING:  # a session without a store asks nobody, and loads nothing for it
    from voxloop_cloud.rollout.awaited import Awaited

MOST_WAITING_SAMPLES = 2 * SAMPLE_RATE_HZ
"""A session that is this far ahead of the recognizer is read no further until it has caught up."""


class Phase(Enum):
    """Where a session is. NEW -> BETWEEN -> IN_SEGMENT -> BETWEEN ...; a segment may be SKIPPED to its end."""

    NEW = auto()
    BETWEEN = auto()
    IN_SEGMENT = auto()
    SKIPPING = auto()


class Session:
    """Answers the messages of one stream, one after the other.

    A segment that breaks the contract or fails in the model is answered by a Failure, and the session goes on; an
    error that concerns the whole session is raised, and ends the stream.
    """

    def __init__(
        self,
        routes: Routes,
        store: ResultStore,
        limits: Limits,
        admit: Callable[[str], None] = lambda _: None,
        rates: DeviceRates | None = None,
        place: Place | None = None,
        recorder: Recorder | None = None,
        on_heartbeat: Callable[[pb.Hello, pb.Heartbeat], None] = lambda _hello, _said: None,
        awaited: "Awaited | None" = None,
    ) -> None:
        """routes: choose each segment's bundle.

        admit: is told the device's id once its Hello is found good; raises OverloadError to refuse it.
        rates: of all sessions of this server, which those of one device share. place: of this one among all that speak.
        recorder: is told of each segment that was answered; None if nobody keeps records.
        on_heartbeat: is told how the device is. awaited: segments of this session that people answer; None: none.
        """
        self.hello = pb.Hello()
        self.segments = 0
        self.awaited = awaited
        self.received_samples = 0
        self._routes = routes
        self._store = store
        self._limits = limits
        self._admit = admit
        self._rates = DeviceRates(limits) if rates is None else rates
        self._rate: DeviceRate | None = None  # from Hello on
        self._place = place or open_to_all()
        self._recorder = recorder
        self._on_heartbeat = on_heartbeat
        self._phase = Phase.NEW
        self._route: SessionRoute  # from Hello on
        self._results: SessionResults
        self._last_segment_id = 0
        self._intake: SegmentIntake
        self._segment_end: pb.SegmentEnd | None = None  # of the segment that is being said, once it came
        self._work: SegmentRoute
        self._last_text = ""

    async def answer(self, request: pb.RecognizeRequest) -> AsyncIterator[pb.RecognizeResponse]:
        """The responses to one message, as they become known.

        Raises ContractError for a message out of place, and what `check_hello` raises.
        """
        if self._rate is not None:
            self._rate.take_message(request.ByteSize(), self._rates.clock())
        match request.WhichOneof("payload"):
            case "hello":
                yield await self._open(request.hello)
            case "segment_start":
                if refusal := await self._start(request.segment_start):
                    yield refusal
            case "audio":
                if news := await self._hear(request.audio):
                    yield news
            case "segment_end":
                async for response in self._end(request.segment_end):
                    yield response
                self._place.pause()
            case "heartbeat":
                self._require(Phase.BETWEEN, Phase.IN_SEGMENT, Phase.SKIPPING, what="Heartbeat")
                self._on_heartbeat(self.hello, request.heartbeat)
            case _:
                raise ContractError("an empty request, or a kind that this server does not know; update the server")

    def close(self) -> None:
        """The stream has ended: what was being said in it is recognised no further."""
        if self._phase is Phase.IN_SEGMENT:
            self._work.abandon()

    async def _open(self, hello: pb.Hello) -> pb.RecognizeResponse:
        self._require(Phase.NEW, what="Hello")
        check_hello(hello)
        asked = read_hotwords(hello.hotwords, hello.hotwords_only, self._limits.max_hotwords)
        self._admit(hello.device_id)
        self._rate = self._rates.of(hello.device_id)
        self._route = SessionRoute(self._routes, hello, asked)
        hotwords = await self._route.prepare()
        self._results = self._store.open(hello)
        self.hello = hello
        self._phase = Phase.BETWEEN
        welcome = pb.Welcome(
            schema_version=SCHEMA_VERSION,
            resume_token=self._results.resume_token,
            transcribed_segments=self._results.segments,
            limits=self._limits.to_wire(),
            hotwords=hotwords,
        )
        return pb.RecognizeResponse(welcome=welcome)

    async def _start(self, start: pb.SegmentStart) -> pb.RecognizeResponse | None:
        """Opens a segment; gives the Failure of one that must wait: the device has sent too much, or too many speak."""
        self._require(Phase.BETWEEN, Phase.SKIPPING, what="SegmentStart")  # a device drops the rest of what failed
        if start.segment_id <= self._last_segment_id:
            raise ContractError(f"segment {start.segment_id} after segment {self._last_segment_id}; ids count upwards")
        self._last_segment_id = start.segment_id
        if start.segment_id in self._results.segments:
            self._phase = Phase.SKIPPING
            return None
        if refusal := self._refusal(start):
            self._phase = Phase.SKIPPING
            return refusal
        keeps_sound = self._recorder is not None and self._recorder.keeps_sound and self.hello.consent.keep_audio
        self._intake = SegmentIntake(start, self.hello.audio_format, self._limits, keeps_sound)
        self._segment_end = None
        self._work = await self._route.start(start.segment_id)
        self._last_text = ""
        self._phase = Phase.IN_SEGMENT
        return None

    def _refusal(self, start: pb.SegmentStart) -> pb.RecognizeResponse | None:
        try:
            if self._rate is not None:
                self._rate.begin_segment(self._rates.clock())
            self._place.speak()
        except OverloadError as error:
            return pb.RecognizeResponse(failure=to_failure(error, start.segment_id))
        return None

    async def _hear(self, audio: pb.Audio) -> pb.RecognizeResponse | None:
        if self._phase is Phase.SKIPPING:
            return None  # the rest of a segment that is answered already
        return await self._guarded(self._take(audio), Phase.SKIPPING)

    async def _take(self, audio: pb.Audio) -> pb.RecognizeResponse | None:
        self._require(Phase.IN_SEGMENT, what="Audio")
        pcm = self._intake.take(audio)
        self.received_samples += pcm.size
        self._work.push(pcm)
        if self.hello.interim_results:
            return self._news(await self._work.settled())
        if self._work.waiting_samples > MOST_WAITING_SAMPLES:
            await self._work.settled()
        return None

    def _news(self, hypothesis: Hypothesis) -> pb.RecognizeResponse | None:
        if hypothesis.text == self._last_text:
            return None
        self._last_text = hypothesis.text
        return pb.RecognizeResponse(
            hypothesis=pb.Hypothesis(
                segment_id=self._last_segment_id,
                text=hypothesis.text,
                stable_characters=hypothesis.stable_characters,
                up_to_sample=self._intake.start.start_sample + self._intake.received_samples,
            )
        )

    async def _end(self, end: pb.SegmentEnd) -> AsyncIterator[pb.RecognizeResponse]:
        arrived_s = time.perf_counter()
        if self._phase is Phase.SKIPPING:
            self._phase = Phase.BETWEEN
            known = self._results.find(self._last_segment_id)
            if known and end.segment_id == self._last_segment_id:  # not that of another segment, a second time
                yield pb.RecognizeResponse(transcript=known)
            return
        if refused := await self._guarded(self._check_end(end), Phase.BETWEEN):
            yield refused
            return
        ack = pb.Ack(segment_id=end.segment_id, received_samples=self._intake.received_samples)
        yield pb.RecognizeResponse(ack=ack)
        if last := await self._guarded(self._transcribe(arrived_s), Phase.BETWEEN):
            yield last

    async def _check_end(self, end: pb.SegmentEnd) -> None:
        self._require(Phase.IN_SEGMENT, what="SegmentEnd")
        self._intake.check_end(end)
        self._segment_end = end

    async def _transcribe(self, arrived_s: float) -> pb.RecognizeResponse | None:
        """None if people answer it, later."""
        decoded = await self._work.finish()
        transcript = to_transcript(self._intake.start, decoded, self._work.routed, self._work.timings())
        transcript.provenance.server_latency_ms = (time.perf_counter() - arrived_s) * 1000.0
        self._record(transcript)
        self._work.compare(self.hello.session_id, transcript.segment_id, transcript.text)
        self.segments += 1
        self._phase = Phase.BETWEEN
        if self._ask_people(transcript):
            return None
        self._results.keep(transcript)
        return pb.RecognizeResponse(transcript=transcript)

    def _ask_people(self, transcript: pb.Transcript) -> bool:
        if self.awaited is None:
            return False
        automation, samples = self._work.routed.automation, self._intake.received_samples
        return self.awaited.ask(automation, self.hello, transcript, self._results, samples)

    async def _guarded(
        self, answer: Awaitable[pb.RecognizeResponse | None], after_failure: Phase
    ) -> pb.RecognizeResponse | None:
        """The answer; an error within a segment becomes its Failure, and the session goes on."""
        in_segment = self._phase is Phase.IN_SEGMENT
        try:
            return await answer
        except VoxloopError as error:
            if not in_segment:
                raise
            self._work.abandon()
            self._place.pause()
            self._phase = after_failure
            failure = to_failure(error, self._last_segment_id)
            self._record(failure)
            return pb.RecognizeResponse(failure=failure)

    def _record(self, answer: pb.Transcript | pb.Failure) -> None:
        """Leaves what is known of the segment with whoever keeps records."""
        if self._recorder is None:
            return
        now_s = self._recorder.now_s()
        self._recorder.hear(heard_of(self.hello, self._intake, self._work, self._segment_end, answer, now_s))

    def _require(self, *phases: Phase, what: str) -> None:
        if self._phase not in phases:
            raise ContractError(
                f"{what} came while the session was {self._phase.name}; "
                "the order is Hello, then SegmentStart, Audio, SegmentEnd for each segment"
            )
