"""All settings of a training run."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_training.augmentation import AugmentationConfig
from voxloop_training.model import ConformerConfig
from voxloop_training.optimizer import OptimizerConfig
from voxloop_training.recipe_file import read_recipe
from voxloop_training.schedule import ScheduleConfig


class DataConfig(BaseModel):
    """Which manifests, below the data root, and how often each set is seen per epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[str, ...] = Field(description="train manifests, as SET/SPLIT.jsonl")
    dev: tuple[str, ...] = Field((), description="manifests to choose by; of a train manifest only held-out speakers")
    noise: str | None = Field(None, description="manifest of noise clips; also trained on as clips without words")
    weights: dict[str, float] = Field(default_factory=dict, description="times a set is seen per epoch; 1 if not named")
    cache: Path = Field(Path("~/.cache/voxloop/audio"), description="folder of the decoded audio, 115 MB per hour")


class StageConfig(BaseModel):
    """A part of the curriculum. It ends at `steps`, or earlier when the loss has come down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest_s: float = Field(20.0, gt=0, description="longest clip, seconds")
    batch_s: float = Field(60.0, gt=0, description="audio per process and step, padding included, seconds")
    augmented: bool = Field(True, description="whether clips are augmented")
    steps: int | None = Field(None, gt=0, description="most steps in this stage; without it, to the run's end")
    until_loss: float = Field(
        0.0, ge=0, description="smoothed loss per character, nats, that ends the stage; 0 for never"
    )
    competition_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how far phones are told from rival sentences: 0 is CTC, for the start; 1 LF-MMI",
    )


class LoopConfig(BaseModel):
    """How the loop behaves around the steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(1, ge=0, description="all chance comes from it")
    threads: int = Field(1, ge=1, description="threads per process; one process per core is faster than threads")
    middle_weight: float = Field(0.3, ge=0, lt=1, description="weight of the middle block's CTC loss")
    short_gain: float = Field(
        4.0, ge=1, le=20, description="weight of a clip without text; 1 weighs all characters alike"
    )
    phone_weight: float = Field(0.85, gt=0, le=1, description="weight of the phones' loss, where the model has them")
    chunk_frames: tuple[int, ...] = Field((4, 8, 8, 16), description="chunk sizes drawn per step, frames of 40 ms")
    dev_chunk_frames: int = Field(
        8, ge=1, description="chunk size that dev sets are read with and the model is served with"
    )
    log_steps: int = Field(20, ge=1, description="steps between log lines")
    evaluate_minutes: float = Field(8.0, gt=0, description="minutes of training between evaluations")
    save_minutes: float = Field(3.0, gt=0, description="minutes of training between checkpoints")
    keep_checkpoints: int = Field(6, ge=1, description="checkpoints kept besides the best")
    tracking: bool = Field(True, description="whether figures also go to MLflow, in an sqlite file of the run's folder")
    skip_limit: int = Field(50, ge=1, description="non-finite steps in a row after which the run stops")


class Recipe(BaseModel):
    """One training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: Path | None = Field(None, description="checkpoint to start a new run from; none: from random weights")
    data: DataConfig
    model: ConformerConfig = Field(default_factory=ConformerConfig)
    augmentation: AugmentationConfig = Field(default_factory=AugmentationConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    stages: tuple[StageConfig, ...] = Field((StageConfig(),), min_length=1)
    loop: LoopConfig = Field(default_factory=LoopConfig)

    @model_validator(mode="after")
    def _competition_needs_phones(self) -> "Recipe":
        if any(stage.competition_weight for stage in self.stages) and not self.model.phones:
            raise ValueError("a stage's competition_weight is about phones: set model.phones, or leave it 0")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a TOML recipe; raises ConfigError that names each field at fault."""
    return read_recipe(path, Recipe)
