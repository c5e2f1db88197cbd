"""The settings of a device's metrics."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voxloop_proto.metrics.page_address import check_page_address


class MetricsConfig(BaseModel):
    """Where a device shows its metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str | None = Field(
        None, description="where Prometheus may read them, HOST:PORT, or a port of this device alone; none: nowhere"
    )

    @field_validator("listen", mode="before")
    @classmethod
    def _check_listen(cls, listen: object) -> object:
        return listen if listen is None else check_page_address(str(listen))
