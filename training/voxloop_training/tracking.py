"""Experiment tracking with MLflow, in an sqlite file of the run's folder."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from voxloop_training.recipe import Recipe

_EXPERIMENT: Final = "voxloop"
_PARAMETER_CHARACTERS: Final = 500
_RUN_ID_FILE: Final = "mlflow-run-id"


class Tracker:
    """Logs figures of one run; a resumed training run goes on in the same MLflow run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    @classmethod
    def open(cls, folder: Path, recipe: Recipe) -> "Tracker":
        """Find the folder's run or begin one."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        note = folder / _RUN_ID_FILE
        with _foreign_warnings_ignored():
            client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve()}/mlflow.sqlite")
            if not note.exists():
                note.write_text(_begin(client, folder.name, recipe))
        return cls(client, note.read_text().strip())

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures at a step."""
        with _foreign_warnings_ignored():
            self._client.log_batch(self._run_id, metrics=[Metric(key, value, 0, step) for key, value in values.items()])


def _begin(client: MlflowClient, name: str, recipe: Recipe) -> str:
    """Id of a new run with the recipe as its parameters."""
    found = client.get_experiment_by_name(_EXPERIMENT)
    experiment_id = found.experiment_id if found else client.create_experiment(_EXPERIMENT)
    run_id: str = client.create_run(experiment_id, run_name=name).info.run_id
    parts = recipe.model_dump(mode="json").items()
    client.log_batch(run_id, params=[Param(key, str(value)[:_PARAMETER_CHARACTERS]) for key, value in parts])
    return run_id


@contextmanager
def _foreign_warnings_ignored() -> Iterator[None]:
    """MLflow uses what SQLAlchemy 2.1 deprecates; a project that takes warnings for errors would stop there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
