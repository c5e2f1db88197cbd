"""When a device tries again after a break, and when it gives up: pure, with time and chance as arguments."""

from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.errors import OverloadError, UnavailableError, VoxloopError


class ReconnectionConfig(BaseModel):
    """How long a device waits for its server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connect_timeout_ms: int = Field(10_000, ge=100, description="longest wait for the first answer of a server")
    outage_timeout_ms: int = Field(300_000, ge=100, description="longest outage in mid-session before giving up")
    first_backoff_ms: int = Field(200, ge=1, description="wait before the first reconnection; doubles each time")
    longest_backoff_ms: int = Field(5_000, ge=1, description="longest wait before a reconnection")
    longest_retry_after_ms: int = Field(60_000, ge=1, description="longest wait that a server may ask for")


class Reconnection:
    """Counts the breaks of one session.

    An outage begins with a break and ends with progress: a segment answered, or a connection that broke while nothing
    was unanswered, or after a long time. A server that greets and then fails each segment is an outage all the same.
    """

    def __init__(self, config: ReconnectionConfig, server: str, now_s: float, gives_up: bool = True) -> None:
        """gives_up: False where a spool keeps what is said, so that an outage may be of any length."""
        self._gives_up = gives_up
        self._config = config
        self._server = server
        self._outage_since_s: float | None = now_s
        self._was_open = False
        self._opened_s: float | None = None
        self._attempt = 0

    def opened(self, now_s: float) -> None:
        """The server has greeted."""
        self._was_open = True
        self._opened_s = now_s

    def answered(self) -> None:
        """A segment was answered."""
        self._outage_since_s = None
        self._attempt = 0

    def broke(self, error: VoxloopError, unanswered: int, now_s: float, chance: float) -> float:
        """Milliseconds to wait before the next connection; chance (0 to 1) spreads it.

        Raises OverloadError or UnavailableError when the outage has lasted for too long.
        """
        if self._opened_s is not None:
            open_ms = (now_s - self._opened_s) * 1000.0
            if not unanswered or open_ms > self._config.outage_timeout_ms:
                self._outage_since_s = None
            if open_ms > self._config.longest_backoff_ms:
                self._attempt = 0
        self._opened_s = None
        self._outage_since_s = now_s if self._outage_since_s is None else self._outage_since_s
        self._give_up_if_too_long(error, (now_s - self._outage_since_s) * 1000.0)
        wait_ms = backoff_ms(self._attempt, self._config, chance)
        self._attempt += 1
        return max(min(error.retry_after_ms, self._config.longest_retry_after_ms), wait_ms)

    def _give_up_if_too_long(self, error: VoxloopError, away_ms: float) -> None:
        patience_ms = self._config.outage_timeout_ms if self._was_open else self._config.connect_timeout_ms
        if away_ms <= patience_ms or not self._gives_up:
            return
        if isinstance(error, OverloadError):
            raise OverloadError(f"{self._server} refused for {away_ms / 1000:.1f} s: {error.message}")
        raise UnavailableError(
            f"no answer from {self._server} for {away_ms / 1000:.1f} s ({error.message}); "
            "start one with 'voxloop serve --insecure', or name a running one with --server HOST:PORT"
        )


def backoff_ms(attempt: int, config: ReconnectionConfig, chance: float) -> float:
    """Wait before reconnection number `attempt` (from 0): doubled each time, spread by chance over half of it."""
    longest = min(config.longest_backoff_ms, config.first_backoff_ms * 2.0 ** min(attempt, 30))
    return longest * (0.5 + 0.5 * chance)
