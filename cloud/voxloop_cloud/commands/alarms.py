"""`voxloop alarms`: the rules, who changed them, and what they are good for."""

import getpass
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from voxloop_cloud.alarms.past import is_recorded, past_figures
from voxloop_cloud.alarms.past_alarms import past_alarms
from voxloop_cloud.alarms.render import to_prometheus
from voxloop_cloud.alarms.rule_edit import rule_named
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_rules
from voxloop_cloud.alarms.suggestions import Suggestion, suggest
from voxloop_cloud.alarms.threshold_log import MOST_AUTHOR_CHARACTERS, change_threshold, threshold_changes
from voxloop_cloud.alarms.usefulness import usefulness
from voxloop_cloud.server import ServerConfig
from voxloop_cloud.store.database import open_database
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError, UnavailableError

_DAY_S = 86_400.0

alarms = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""The alarms of the server: their rules, thresholds and history.

    Rules are in one file (alarms.rules; without it, those that ship). The server evaluates them on its own metrics and
    reads the file again when it changes; 'voxloop alarms render' writes the same for Prometheus. Settings are the
    server's own: from --config, from VOXLOOP_*, and from flags.

    \b
      voxloop alarms list
      voxloop alarms set slow_answers 0.3 --reason "far site, 80 ms of line" --rules alarms.toml --state state
      voxloop serve --insecure --state state --config server.toml     # with alarms.rules = "alarms.toml"
    """,
)

Rules = Annotated[
    Path | None, typer.Option(help="file of rules (TOML); default: alarms.rules, or those that ship", metavar="FILE")
]
State = Annotated[Path | None, typer.Option(help="the server's folder of state (store.state)", metavar="DIR")]
Config = Annotated[Path | None, typer.Option(help="the server's settings file (TOML)", metavar="FILE")]
Days = Annotated[float, typer.Option(min=0.01, max=3650, help="how far back to look")]


@alarms.command(name="list")
def list_rules(rules: Rules = None, config: Config = None) -> None:
    """Show the rules with their thresholds."""
    table = Table("rule", "figure", "over", "alarm", "until", "for", "severity", "by", box=None)
    for rule in read_rules(_settings(config, rules).alarms.rules):
        sign = ">" if rule.comparison == "above" else "<"
        limits = f"{sign} {rule.threshold:g}", f"{rule.resolves_at:g}"
        times = f"{rule.window_s} s", f"{rule.for_s} s"
        row = rule.name, rule.aggregation, times[0], *limits, times[1], rule.severity, rule.split_by or ""
        table.add_row(*row)
    Console().print(table)


@alarms.command()
def check(rules: Rules = None, config: Config = None) -> None:
    """Check a file of rules: fields, and whether the server has the metrics that they name."""
    file = _settings(config, rules).alarms.rules or SHIPPED_RULES
    typer.echo(f"{file}: {len(read_rules(file))} rules, all right")


@alarms.command()
def render(
    rules: Rules = None,
    config: Config = None,
    out: Annotated[Path | None, typer.Option(help="file to write; default: standard output", metavar="FILE")] = None,
) -> None:
    """Write the rules for Prometheus (2.42 or later): recording and alerting rules that fire when ours do."""
    text = to_prometheus(read_rules(_settings(config, rules).alarms.rules))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error


@alarms.command(name="set", context_settings={"ignore_unknown_options": True})
def set_threshold(
    rule: Annotated[str, typer.Argument(help="the rule's name", metavar="RULE")],
    threshold: Annotated[float, typer.Argument(help="the new threshold, in the metric's unit", metavar="THRESHOLD")],
    reason: Annotated[str, typer.Option(help="why: for those who come after you")],
    resolves_at: Annotated[
        float | None, typer.Option(help="value at which the alarm resolves; default: it moves along with the threshold")
    ] = None,
    author: Annotated[str | None, typer.Option(help="who decided it; default: you")] = None,
    rules: Rules = None,
    state: State = None,
    config: Config = None,
) -> None:
    """Change a rule's threshold, and keep who did it and why. A running server takes it at its next evaluation.

    A file that is not there yet is made from the rules that ship; comments stay. Values below zero go as they are:

    \b
      voxloop alarms set quiet_microphones -60 --reason "lapel microphones" --rules alarms.toml --state state
    """
    settings = _settings(config, rules, state)
    if settings.alarms.rules is None:
        raise ConfigError(
            f"the rules that ship ({SHIPPED_RULES}) are not changed; name a file of your own with --rules"
        )
    if not reason.strip():
        raise ConfigError("an empty --reason; say in a sentence why")
    with _store(settings) as store:
        before, after = change_threshold(
            store, settings.alarms.rules, rule, threshold, resolves_at, author or _user(), reason, time.time()
        )
    typer.echo(
        f"{rule}: {before.threshold:g} -> {after.threshold:g}, "
        f"resolves at {before.resolves_at:g} -> {after.resolves_at:g} ({settings.alarms.rules})"
    )


@alarms.command()
def history(
    rule: Annotated[str | None, typer.Argument(help="only of this rule", metavar="RULE")] = None,
    state: State = None,
    config: Config = None,
) -> None:
    """Show who changed which threshold when, and why; the newest first."""
    table = Table("when", "rule", "before", "after", "who", "why", box=None)
    with _store(_settings(config, None, state)) as store:
        changes = threshold_changes(store, rule)
    for change in changes:
        before = "" if change.before is None else f"{change.before:g}"
        table.add_row(_date(change.changed_s), change.rule, before, f"{change.after:g}", change.author, change.reason)
    Console().print(table)


@alarms.command(name="suggest")
def suggest_thresholds(
    rule: Annotated[str | None, typer.Argument(help="only for this rule", metavar="RULE")] = None,
    per_week: Annotated[float, typer.Option(min=0, help="alarms a week of each rule that are not too many")] = 1.0,
    days: Days = 28.0,
    rules: Rules = None,
    state: State = None,
    config: Config = None,
) -> None:
    """Suggest thresholds from the utterances in the store, with the alarms a week that each would have given.

    Each candidate is a quantile of the rule's figure over past windows, and is run through the rule as it is, with its
    durations and hysteresis. With a rule's name, all candidates are shown.
    """
    settings, until_s = _settings(config, rules, state), time.time()
    all_rules = read_rules(settings.alarms.rules)
    chosen = all_rules if rule is None else (rule_named(all_rules, rule, settings.alarms.rules or SHIPPED_RULES),)
    table = Table("rule", "windows", "now", "a week", "suggested", "quantile", "a week", "fired", box=None)
    with _store(settings) as store:
        seen = past_alarms(store, until_s - days * _DAY_S, until_s)
        for each in track(chosen, "reading the past", console=Console(stderr=True), transient=True):
            if not is_recorded(each):
                table.add_row(each.name, "its metric is not kept with utterances")
                continue
            found = suggest(each, tuple(past_figures(store, each, until_s - days * _DAY_S, until_s)), per_week)
            fired = str(sum(alarm.rule == each.name for alarm in seen))
            for row in _rows(found, fired, with_all=rule is not None) if found else [(each.name, "no data")]:
                table.add_row(*row)
    Console().print(table)


@alarms.command()
def report(days: Days = 28.0, rules: Rules = None, state: State = None, config: Config = None) -> None:
    """Show which rules never helped: never fired, fired all the time, or only while another one did."""
    settings, until_s = _settings(config, rules, state), time.time()
    since_s = until_s - days * _DAY_S
    names = [rule.name for rule in read_rules(settings.alarms.rules)]
    table = Table("rule", "alarms", "fires", "together with", "", box=None)
    with _store(settings) as store:
        past = past_alarms(store, since_s, until_s)
    for each in usefulness(names, past, since_s, until_s):
        together = f"{each.doubles} {each.together_ratio:.0%}" if each.doubles else ""
        table.add_row(each.rule, str(each.alarms), f"{each.firing_ratio:.1%}", together, each.verdict)
    Console().print(table)


def _rows(found: Suggestion, fired: str, with_all: bool) -> list[tuple[str, ...]]:
    shown = found.candidates if with_all else (found.chosen,)
    now = (str(found.windows), f"{found.rule.threshold:g}", f"{found.present_alarms_per_week:.2g}")
    return [
        (
            found.rule.name,
            *now,
            f"{each.threshold:g}{' *' if with_all and each is found.chosen else ''}",
            f"{each.quantile:g}",
            f"{each.alarms_per_week:.2g}",
            fired,
        )
        for each in shown
    ]


def _settings(config: Path | None, rules: Path | None, state: Path | None = None) -> ServerConfig:
    flags = {"alarms.rules": rules, "store.state": state}
    return read_settings(ServerConfig, config, os.environ, flags)


@contextmanager
def _store(settings: ServerConfig) -> Iterator[Engine]:
    """Raises UnavailableError for one that is locked, or away."""
    if settings.store.database_url is None:
        raise ConfigError(
            "no store: history is kept where the server keeps it; give --state DIR, or --config with store.url"
        )
    store = open_database(settings.store.database_url)
    try:
        yield store
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UnavailableError(f"the store cannot be used now: {reason}; try again in a moment") from error
    finally:
        store.dispose()


def _user() -> str:
    try:
        return getpass.getuser()[:MOST_AUTHOR_CHARACTERS]
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"uid {os.getuid()}"


def _date(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")
