"""The settings of what the server remembers; off unless it is told where."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

DATABASE_FILE = "voxloop.db"
CLIPS_FOLDER = "clips"


def sqlite_url(file: Path) -> str:
    """The URL of a database in a file."""
    return f"sqlite:///{file}"


class StoreConfig(BaseModel):
    """Where utterances are kept, for how long, and how many may wait to be written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Path | None = Field(
        None, description=f"folder of {DATABASE_FILE} and {CLIPS_FOLDER}/; none: nothing is kept"
    )
    url: SecretStr | None = Field(
        None,
        description="the database, in place of the one in the folder: postgresql+psycopg://USER:PASSWORD@HOST/NAME",
    )
    clips_url: str | None = Field(
        None, description="where sound goes, in place of the folder: s3://BUCKET/PREFIX, with AWS_* in the environment"
    )
    keep_days: float = Field(90, gt=0, le=3_650, description="days after which an utterance and its sound are deleted")
    max_queued: int = Field(
        10_000, ge=1, le=1_000_000, description="utterances that may wait while the database is away; beyond, dropped"
    )
    max_queued_sound_s: int = Field(
        600, ge=0, le=100_000, description="sound that may wait to be kept, in s (64 kB each); beyond, it is not kept"
    )

    @property
    def is_on(self) -> bool:
        """Whether anything is kept at all."""
        return self.database_url is not None

    @property
    def database_url(self) -> str | None:
        """Of the database; None if nothing is kept."""
        if self.url is not None:
            return self.url.get_secret_value()
        return sqlite_url(self.state.absolute() / DATABASE_FILE) if self.state else None

    @property
    def clips(self) -> str | None:
        """URL or folder of the sound; None: none is kept."""
        return self.clips_url or (str(self.state.absolute() / CLIPS_FOLDER) if self.state else None)
