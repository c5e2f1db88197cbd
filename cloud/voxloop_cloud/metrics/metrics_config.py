"""The settings of the server's metrics."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voxloop_cloud.metrics.label_book import MOST_KINDS
from voxloop_proto.metrics.page_address import check_page_address


class MetricsConfig(BaseModel):
    """Where metrics are shown, and what they are told apart by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str | None = Field(
        None, description="where Prometheus may read them, HOST:PORT, or a port of this machine alone; none: nowhere"
    )
    device_kinds: tuple[str, ...] = Field(
        (),
        max_length=MOST_KINDS,
        description=f"kinds of devices that surely have series of their own; others share what is left of {MOST_KINDS}",
    )

    otlp: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+:\d{1,5}$",
        description="OpenTelemetry collector that gets a span for each segment and stage, http://HOST:PORT; none: none",
    )

    @field_validator("listen", mode="before")
    @classmethod
    def _check_listen(cls, listen: object) -> object:
        return listen if listen is None else check_page_address(str(listen))
