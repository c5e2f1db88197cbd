"""What the commands of `voxloop deploy` share: flags, the connection, what a change is shown as, and the question."""

import getpass
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from pydantic import BaseModel, ConfigDict, Field

from voxloop_cloud.routing.admin_client import AdminClient, AdminConfig
from voxloop_cloud.routing.policy import Policy, read_policy
from voxloop_cloud.routing.policy_text import changed_lines, policy_lines
from voxloop_cloud.routing.slices import Slice
from voxloop_proto.config import read_settings
from voxloop_proto.errors import ConfigError
from voxloop_proto.v1 import admin_pb2 as pb

Change: TypeAlias = Callable[[Policy], Policy]

Bundle = Annotated[str, typer.Argument(help="NAME@VERSION, as 'voxloop models list' shows it", metavar="BUNDLE")]
Percent = Annotated[float, typer.Option(min=0, max=100, help="of the devices, each always with the same bundle")]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--slice", help="only these: device_kind=, vad_kind=, app_version= or locale=; repeated: all of them hold"
    ),
]
Reason = Annotated[str, typer.Option(help="why, in words; kept with the change")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
Unaudited = Annotated[
    list[str] | None,
    typer.Option(help="take this bundle although its audit has not passed; recorded", metavar="NAME@VERSION"),
]
Server = Annotated[str | None, typer.Option(help="address of the server (default 127.0.0.1:50051)")]
Ca = Annotated[
    Path | None, typer.Option(help="CA of the server's certificate (PEM; default: the public ones)", metavar="FILE")
]
TokenFile = Annotated[Path | None, typer.Option(help="file that holds an admin's token", metavar="FILE")]
Insecure = Annotated[bool | None, typer.Option("--insecure", help="plaintext, to a server on this machine alone")]


class DeployConfig(BaseModel):
    """The command's settings; VOXLOOP_ADMIN__SERVER and so on set them, too."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    admin: AdminConfig = Field(default_factory=AdminConfig)


def open_client(server: str | None, ca: Path | None, token_file: Path | None, insecure: bool | None) -> AdminClient:
    """The connection that the flags and the environment name. Raises ConfigError."""
    flags = {"server": server, "ca": ca, "token_file": token_file, "insecure": insecure}
    settings = read_settings(
        DeployConfig, environment=_own(os.environ), flags={f"admin.{name}": value for name, value in flags.items()}
    )
    return AdminClient(settings.admin)


def _own(environment: "os._Environ[str]") -> dict[str, str]:
    """The settings of this command: a server's or a device's may stand beside them."""
    return {name: value for name, value in environment.items() if name.startswith("VOXLOOP_ADMIN__")}


def read_slice(words: list[str] | None) -> Slice | None:
    """Raises ConfigError for a word that is no NAME=VALUE of a slice."""
    if not words:
        return None
    parts = [word.partition("=") for word in words]
    if wrong := [word for word, (_, sign, _) in zip(words, parts, strict=True) if not sign]:
        raise ConfigError(f"--slice {wrong[0]}; allowed is NAME=VALUE, say device_kind=raspberry-pi-5")
    return read_settings(Slice, flags={name: value for name, _, value in parts})


def make_change(client: AdminClient, step: Change, reason: str, yes: bool, unaudited: list[str] | None = None) -> None:
    """Shows what a step changes, asks, and takes it."""
    present = client.policy().policy
    before = read_policy(present.document)
    after = step(before)
    lines = told(before, after)
    if not lines:
        typer.echo("this changes nothing")
        return
    for line in lines:
        typer.echo(line)
    if not yes and not typer.confirm("put this in force?"):
        raise ConfigError("not confirmed, so nothing was changed; --yes does not ask")
    document = json.dumps(after.to_document())
    new = client.set_policy(document, reason, present.version, unaudited or [], _user())
    typer.echo(f"in force: version {new.version}, {when_and_why(new)}")


def told(before: Policy | None, after: Policy) -> list[str]:
    """What changes, a line for each topic; all that there is, if there was nothing before."""
    if before is None:
        return [f"{topic}: {text}" for topic, text in policy_lines(after).items()]
    return [f"{topic}: {old}  ->  {new}" for topic, (old, new) in changed_lines(before, after).items()]


def when_and_why(version: pb.PolicyVersion) -> str:
    """A version's time, author and reason."""
    if not version.version:
        return version.reason
    return f"{moment(version.created_s)}, by {version.author}: {version.reason}"


def moment(unix_s: float) -> str:
    """A date, to the second."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"uid {os.getuid()}"
