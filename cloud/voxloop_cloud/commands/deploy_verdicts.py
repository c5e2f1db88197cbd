"""`voxloop deploy verdicts`: what the guard says of bundles that are tried."""

import json
from collections.abc import Iterator
from typing import Annotated

import typer

from voxloop_cloud.commands.deploy_change import Ca, Insecure, Server, TokenFile, moment, open_client
from voxloop_cloud.routing.admin_client import AdminClient
from voxloop_cloud.routing.policy import Policy
from voxloop_proto.v1 import admin_pb2 as pb


def verdicts(
    bundle: Annotated[str, typer.Argument(help="NAME@VERSION; none: all", metavar="[BUNDLE]")] = "",
    server: Server = None,
    ca: Ca = None,
    token_file: TokenFile = None,
    insecure: Insecure = None,
    most: Annotated[int, typer.Option(min=1, max=1_000, help="how many, the newest first")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="with the evidence, one object a line")] = False,
) -> None:
    """Show what the guard says of a bundle that is tried: promote, hold or roll back, and the evidence for it.

    It looks every two seconds; a verdict that says the same as the last one is kept every ten minutes.
    """
    with open_client(server, ca, token_file, insecure) as client:
        found = client.verdicts(bundle, most)
    if not found and not as_json:
        typer.echo("no verdict yet; the guard judges bundles that listen in or are canaries")
    for verdict in found:
        typer.echo(json.dumps(_to_json(verdict)) if as_json else f"{moment(verdict.created_s)}: {verdict.text}\n")


def newest_lines(client: AdminClient, policy: Policy) -> Iterator[str]:
    """Of each bundle that is tried: the first line of what was last said of it."""
    tried = policy.canaries.union(shadow.bundle for shadow in policy.shadows) - {policy.primary}
    for bundle in sorted(tried):
        for verdict in client.verdicts(bundle, 1):
            yield f"{moment(verdict.created_s)}: {verdict.text.splitlines()[0]}"


def _to_json(verdict: pb.Verdict) -> dict[str, object]:
    return {
        "created_s": verdict.created_s,
        "bundle": verdict.bundle,
        "against": verdict.against,
        "kind": verdict.kind,
        "policy_version": verdict.policy_version,
        "text": verdict.text,
        "evidence": json.loads(verdict.evidence),
    }
