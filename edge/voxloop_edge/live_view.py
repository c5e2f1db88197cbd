"""What `voxloop listen` shows: a level meter and the forming text on one line, transcripts above it."""

import sys
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from voxloop_edge.notice import notice
from voxloop_edge.replies import (
    HypothesisArrived,
    LinkChanged,
    Reply,
    SegmentFailed,
    TranscriptArrived,
)
from voxloop_proto.events import SegmentEnded, SegmentStarted

METER_WIDTH = 20
QUIETEST_DBFS = -60.0


class LiveView:
    """Watches a listener. On a terminal everything; into a pipe or file only the transcripts, a line each."""

    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=True)
        self._forming = ""
        self._notice = "connecting"
        self._level_dbfs = QUIETEST_DBFS
        self._live = Live(console=self._out, refresh_per_second=10, transient=True) if self._out.is_terminal else None

    def __enter__(self) -> "LiveView":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def level(self, dbfs: float, until_sample: int) -> None:  # noqa: ARG002 (a watcher's)
        """Moves the meter."""
        self._level_dbfs = dbfs
        self._refresh()

    def segment(self, event: SegmentStarted | SegmentEnded) -> None:
        """Shows nothing: the forming text tells that somebody speaks."""

    def reply(self, reply: Reply) -> None:
        """Shows text."""
        match reply:
            case HypothesisArrived():
                self._forming = reply.text
            case TranscriptArrived():
                self._forming = ""
                self._print_transcript(reply)
            case LinkChanged():
                self._notice = "" if reply.is_open else f"reconnecting ({reply.reason})"
            case _:
                if isinstance(reply, SegmentFailed):
                    self._forming = ""
                print(f"voxloop: {notice(reply)}", file=sys.stderr)  # noqa: T201
        self._refresh()

    def _print_transcript(self, reply: TranscriptArrived) -> None:
        text = Text(reply.transcript.text)
        if self._live is not None:
            text.append(f"  {reply.user_latency_ms:.0f} ms", style="dim")
        if reply.transcript.text:
            self._out.print(text)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(status_line(self._level_dbfs, self._notice or self._forming, self._out.width))


def status_line(level_dbfs: float, forming: str, width: int) -> Text:
    """The bottom line: the level from -60 dBFS to full scale, and the newest of the text as far as there is room."""
    share = min(1.0, max(0.0, 1.0 - level_dbfs / QUIETEST_DBFS))
    filled = round(share * METER_WIDTH)
    status = Text("█" * filled + "·" * (METER_WIDTH - filled), style="green" if level_dbfs < -3 else "red")
    room = max(10, width - METER_WIDTH - 3)
    status.append("  " + forming[-room:], style="italic")
    status.truncate(width)
    return status
