"""`voxloop drift`: what has changed in what devices send, and at which stage it began."""

import json
import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from voxloop_cloud.bundle import REFERENCE_FILE, find_bundle, load_bundle
from voxloop_cloud.drift.drift_config import DriftConfig
from voxloop_cloud.drift.drift_store import read_drifts, read_settings_of_devices, read_utterances
from voxloop_cloud.drift.skew import feature_skew, settings_skew
from voxloop_cloud.drift.training_reference import read_reference
from voxloop_cloud.drift.utterances import from_rows
from voxloop_cloud.drift.watch import week_of
from voxloop_cloud.drift.week import WEEK_S, WatchedWeek
from voxloop_cloud.store.database import open_database
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_proto.errors import ConfigError

_DAY_S: Final = 86_400.0
_MOST_SHOWN: Final = 15

drift = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What has changed in what devices send, and at which stage that began. A server with a store looks by itself.",
)

State = Annotated[Path | None, typer.Option(help="the server's folder, as in its --state", metavar="DIR")]
Url = Annotated[str | None, typer.Option("--url", help="the server's database, in place of --state", metavar="URL")]
BundleName = Annotated[str | None, typer.Option(help="bundle whose training data is compared with", metavar="DIR")]


@drift.command()
def status(state: State = None, url: Url = None, bundle: BundleName = None) -> None:
    """How near each metric is to an alarm this week, and whether devices are set as the bundle was trained.

    Reads the week again from the store, as a server does when it starts; writes nothing.
    """
    database, chosen, now_s = _open(state, url), load_bundle(find_bundle(bundle)), time.time()
    reference = read_reference(chosen.path / REFERENCE_FILE)
    week = WatchedWeek(database, DriftConfig(), reference, week_of(now_s))
    week.advance(now_s)
    found = week.status()
    typer.echo(f"{found.utterances} utterances this week, compared with {found.compared_with}; {found.labels} labelled")
    if not found.compared_with:
        typer.echo(
            f"nothing to compare with: last week or this one must have {DriftConfig().least_utterances}, of a day"
        )
    table = Table("metric", "slice", "evidence, of what an alarm needs", box=None)
    near = sorted(found.nearness.items(), key=lambda each: -each[1])
    for (part, metric), share in near[:_MOST_SHOWN]:
        table.add_row(metric, part, f"{share:.1e}")
    Console().print(table)
    key = f"{chosen.config.name}@{chosen.config.version}"
    skews = settings_skew(read_settings_of_devices(database, now_s - WEEK_S, key), chosen.config)
    recent = from_rows(read_utterances(database, now_s - WEEK_S, now_s, 0, 1, DriftConfig().most_utterances))
    skews += feature_skew(recent.values, reference)
    typer.echo(f"unlike {chosen.label} was trained, last 7 days: {len(skews) or 'nothing'}")
    for skew in skews:
        typer.echo(f"  {skew.sentence()}")


@drift.command()
def report(
    state: State = None,
    url: Url = None,
    days: Annotated[float, typer.Option(min=0, help="how far back")] = 28.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, with all evidence")] = False,
) -> None:
    """What drifted, the newest first: metric, effect, since when, and the stage that moved first."""
    rows = read_drifts(_open(state, url), time.time() - days * _DAY_S)
    for row in rows:
        if as_json:
            typer.echo(json.dumps(row))
        else:
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["found_s"]))
            typer.echo(f"{when} UTC  {row['report']['sentence']}")
    if not rows and not as_json:
        typer.echo(f"no drift in the last {days:g} days")


def _open(state: Path | None, url: str | None) -> Engine:
    """The database, which must be there already."""
    settings = StoreConfig.model_validate({"state": state, "url": url})
    if settings.database_url is None:
        raise ConfigError("no store: name the server's with --state DIR or --url URL")
    if state and not url and not state.is_dir():
        raise ConfigError(f"no folder {state}; give the one that 'voxloop serve --state' was given")
    return open_database(settings.database_url)
