"""Turns what the pipeline says into messages of the contract."""

from voxloop_proto.events import EncodedEvent, EndReason, SegmentEnded, SegmentPayload, SegmentStarted
from voxloop_proto.telemetry import StageTiming
from voxloop_proto.v1 import voxloop_pb2 as pb

_REASON = {
    EndReason.SILENCE: pb.END_REASON_SILENCE,
    EndReason.MAX_LENGTH: pb.END_REASON_MAX_LENGTH,
    EndReason.END_OF_STREAM: pb.END_REASON_END_OF_STREAM,
}


class WireWriter:
    """Numbers the messages of one session's segments."""

    def __init__(self) -> None:
        self._sequence = 0
        self._sent_samples = 0
        self._gain_db = 0.0

    def write(self, event: EncodedEvent, timings: tuple[StageTiming, ...] = ()) -> pb.RecognizeRequest:
        """The message for one event; timings go into the report of a SegmentEnded and are ignored elsewhere."""
        match event:
            case SegmentStarted():
                return self._start(event)
            case SegmentPayload():
                return self._audio(event)
            case SegmentEnded():
                return self._end(event, timings)

    def _start(self, event: SegmentStarted) -> pb.RecognizeRequest:
        self._sequence = 0
        self._sent_samples = 0
        self._gain_db = event.gain_db
        return pb.RecognizeRequest(
            segment_start=pb.SegmentStart(
                segment_id=event.segment_id,
                start_sample=event.start_sample,
                pre_roll_samples=event.pre_roll_samples,
                raw_level_dbfs=event.raw_level_dbfs,
                applied_gain_db=event.gain_db,
            )
        )

    def _audio(self, event: SegmentPayload) -> pb.RecognizeRequest:
        audio = pb.Audio(segment_id=event.segment_id, sequence=self._sequence, payload=event.payload)
        self._sequence += 1
        self._sent_samples += event.samples
        self._gain_db = event.gain_db
        return pb.RecognizeRequest(audio=audio)

    def _end(self, event: SegmentEnded, timings: tuple[StageTiming, ...]) -> pb.RecognizeRequest:
        report = pb.EdgeReport(
            raw_level_dbfs=event.measures.raw_level_dbfs,
            applied_gain_db=self._gain_db,
            clipped_ratio=event.measures.clipped_ratio,
            voiced_ratio=event.measures.voiced_ratio,
            snr_db=event.measures.snr_db,
            timings=[pb.StageTiming(stage=t.stage, busy_ms=t.busy_ms, wait_ms=t.wait_ms) for t in timings],
        )
        return pb.RecognizeRequest(
            segment_end=pb.SegmentEnd(
                segment_id=event.segment_id,
                end_sample=event.end_sample,
                last_voiced_sample=event.last_voiced_sample,
                reason=_REASON[event.reason],
                report=report,
                sent_samples=self._sent_samples,
            )
        )
