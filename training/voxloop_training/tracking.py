"""Experiment tracking with MLflow, in an sqlite file of the run's folder."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from voxloop_training.recipe import Recipe

_EXPERIMENT: Final = "voxloop"
_PARAMETER_CHARACTERS: Final = 500


class Tracker:
    """Logs figures of one run; a resumed training run goes on in the same MLflow run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    @classmethod
    def open(cls, folder: Path, recipe: Recipe) -> "Tracker":
        """Find the folder's run or begin one."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve()}/mlflow.sqlite")
        note = folder / "mlflow-run-id"
        if note.exists():
            return cls(client, note.read_text().strip())
        found = client.get_experiment_by_name(_EXPERIMENT)
        experiment_id = found.experiment_id if found else client.create_experiment(_EXPERIMENT)
        run_id = client.create_run(experiment_id, run_name=folder.name).info.run_id
        parts = recipe.model_dump(mode="json").items()
        client.log_batch(run_id, params=[Param(key, str(value)[:_PARAMETER_CHARACTERS]) for key, value in parts])
        note.write_text(run_id)
        return cls(client, run_id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures at a step."""
        metrics = [Metric(key, value, 0, step) for key, value in values.items()]
        self._client.log_batch(self._run_id, metrics=metrics)
