"""`voxloop deploy`: which bundle answers whom."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voxloop_cloud.commands.deploy_change import (
    Bundle,
    Ca,
    Insecure,
    Only,
    Percent,
    Reason,
    Server,
    TokenFile,
    Unaudited,
    Yes,
    make_change,
    open_client,
    read_slice,
    told,
    when_and_why,
)
from voxloop_cloud.commands.deploy_threshold import threshold
from voxloop_cloud.commands.deploy_verdicts import newest_lines, verdicts
from voxloop_cloud.routing.policy import Automation, Mode, Policy, read_policy
from voxloop_cloud.routing.policy_steps import promoted, rolled_back, with_automation, with_canary, with_shadow
from voxloop_cloud.routing.policy_text import policy_lines
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import admin_pb2 as pb

deploy = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Say which bundle answers whom: shadow, canary, ramp, promote, and one step back at any time.\n\n"
    "The server must keep state ('voxloop serve --state DIR') and know you: a token of the role admin, made with\n"
    "'voxloop tokens issue NAME --role admin', or --insecure on the server's own machine. Every change has a reason\n"
    "and is kept; it holds from each stream's next segment, on all servers of the state within a second.\n\n"
    "A new model usually goes: shadow, canary --percent 5, ramp --percent 25, promote. Bundles are named NAME@VERSION.",
)

MOST_HISTORY: Final = 1_000


@deploy.command()
def status(
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
    as_json: Annotated[bool, typer.Option("--json", help="the policy as a document, for 'deploy apply'")] = False,
) -> None:
    """Show the policy in force, what of it the server has loaded, and the last verdict of what is tried."""
    with open_client(server, ca, token_file, insecure) as client:
        found = client.policy()
        policy = read_policy(found.policy.document)
        said = [] if as_json else list(newest_lines(client, policy))
    if as_json:
        typer.echo(json.dumps(json.loads(found.policy.document), indent=1))
        return
    console = Console()
    console.print(f"version {found.policy.version}, {escape(when_and_why(found.policy))}", highlight=False)
    table = Table(box=None, show_header=False)
    for topic, text in policy_lines(policy).items():
        table.add_row(topic, escape(text))
    console.print(table)
    for bundle in found.bundles:
        console.print(escape(f"{bundle.bundle}: {_state(bundle)}"), highlight=False)
    for line in said:
        console.print(escape(line), highlight=False)


@deploy.command()
def history(
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
    most: Annotated[int, typer.Option(min=1, max=MOST_HISTORY, help="how many, the newest first")] = 20,
) -> None:
    """Show who changed what, when and why."""
    with open_client(server, ca, token_file, insecure) as client:
        found = client.policies(min(most + 1, MOST_HISTORY))
    for number, version in enumerate(found[:most]):
        typer.echo(f"version {version.version}, {when_and_why(version)}")
        after = read_policy(version.document)
        older = found[number + 1 : number + 2]
        before = read_policy(older[0].document) if older else None
        for line in told(before, after):
            typer.echo(f"  {line}")


@deploy.command()
def shadow(
    bundle: Bundle,
    reason: Reason,
    percent: Annotated[float, typer.Option(min=0, max=100, help="of the segments; 0: it listens no more")] = 100.0,
    yes: Yes = False,
    unaudited: Unaudited = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Let a bundle listen in: its text is compared with what devices get, and is sent to none."""
    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, lambda policy: with_shadow(policy, bundle, percent / 100.0), reason, yes, unaudited)


@deploy.command()
def canary(
    bundle: Bundle,
    reason: Reason,
    percent: Percent = 5.0,
    only: Only = None,
    yes: Yes = False,
    unaudited: Unaudited = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Let a bundle answer some of the devices, 5 % unless you say otherwise; 0 ends it."""
    chosen = read_slice(only)
    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, lambda policy: with_canary(policy, bundle, percent / 100.0, chosen), reason, yes, unaudited)


@deploy.command()
def ramp(
    bundle: Bundle,
    reason: Reason,
    percent: Percent,
    only: Only = None,
    yes: Yes = False,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Change the share of a canary: devices that have it keep it when it grows."""
    chosen = read_slice(only)

    def step(policy: Policy) -> Policy:
        if bundle not in policy.canaries:
            raise ConfigError(f"{bundle} is no canary; they are {', '.join(sorted(policy.canaries)) or 'none'}")
        return with_canary(policy, bundle, percent / 100.0, chosen)

    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, step, reason, yes)


@deploy.command()
def promote(
    bundle: Bundle,
    reason: Reason,
    yes: Yes = False,
    unaudited: Unaudited = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Let a bundle answer everybody. The one before it stays loaded, so that a rollback is at once."""
    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, lambda policy: promoted(policy, bundle), reason, yes, unaudited)


@deploy.command()
def rollback(
    reason: Reason,
    to: Annotated[
        int | None, typer.Option(min=1, help="the version whose policy to take again, from 'deploy history'")
    ] = None,
    yes: Yes = False,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Go one step back: no more canaries; if there are none, back to the primary before this one."""
    with open_client(server, ca, token_file, insecure) as client:
        earlier = {each.version: read_policy(each.document) for each in client.policies(MOST_HISTORY)}
        if to is not None and to not in earlier:
            raise ConfigError(f"there is no version {to}; there are {min(earlier)} to {max(earlier)}")
        make_change(client, lambda policy: earlier[to] if to else rolled_back(policy, earlier.values()), reason, yes)


@deploy.command()
def automation(
    mode: Annotated[Mode, typer.Argument(help="who answers: people alone, ... , the model alone")],
    reason: Reason,
    least_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="with partial: below this confidence a person answers")
    ] = 0.0,
    only: Only = None,
    yes: Yes = False,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Set the degree of automation: human, shadow, assistance, partial or full; for all, or for a slice."""
    wanted = read_settings(Automation, flags={"mode": mode, "least_confidence": least_confidence})
    chosen = read_slice(only)
    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, lambda policy: with_automation(policy, wanted, chosen), reason, yes)


@deploy.command()
def apply(
    file: Annotated[Path, typer.Argument(help="a policy, as 'deploy status --json' writes it", metavar="FILE")],
    reason: Reason,
    yes: Yes = False,
    unaudited: Unaudited = None,
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
) -> None:
    """Put a whole policy in force, with slices and all."""
    try:
        wanted = read_policy(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    with open_client(server, ca, token_file, insecure) as client:
        make_change(client, lambda _: wanted, reason, yes, unaudited)


deploy.command()(verdicts)
deploy.command()(threshold)


def _state(bundle: pb.ServedBundle) -> str:
    state = "loaded" if bundle.is_loaded else f"not loaded: {bundle.failure}" if bundle.failure else "being loaded"
    if not (bundle.heard_shadows or bundle.dropped_shadows or bundle.failed_shadows):
        return state
    return (
        f"{state}; listened in on {bundle.heard_shadows} segments, {bundle.dropped_shadows} dropped, "
        f"{bundle.failed_shadows} failed"
    )
