"""The one command, `voxloop`. Subcommands are found as entry points and imported only when called.

So `voxloop listen` on a Pi never touches the server's or the trainer's libraries, and this package, the lowest of the
layers, needs to know none of those above it.
"""

import os
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from voxloop_proto import __version__

# gRPC reads it when it is loaded. Without it each refused handshake is a line on stderr: as many as a stranger likes.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from voxloop_proto.errors import ConfigError, VoxloopError, row_of

INTERRUPTED_EXIT_CODE = 130
_GROUP = "voxloop.commands"
_EXTRA_OF_COMMAND = {"evaluate": "evaluate", "console": "console"}  # those that need less than their package does
_EXTRA_OF_PACKAGE = {"voxloop_edge": "edge", "voxloop_cloud": "cloud", "voxloop_training": "training"}
_SUMMARY = {
    "listen": "Transcribe the microphone, live.",
    "upload": "Send what 'listen' left in its spool.",
    "feedback": "Tell the server what became of a transcript.",
    "erase": "Take back all that the server keeps of this device.",
    "replay": "Send audio files or test sets through the whole path and measure it.",
    "serve": "Run the recognition server.",
    "calibrate": "Measure how many devices may speak at once on this machine.",
    "certificates": "Make the certificates of a server and its devices, for development.",
    "tokens": "Issue, list, rotate and revoke the tokens of devices.",
    "models": "List, verify, import and fetch model bundles.",
    "deploy": "Say which bundle answers whom: shadow, canary, promote, roll back.",
    "alarms": "List, check, change and render the alarms, and what history says of them.",
    "console": "See and steer a server in the browser.",
    "drift": "What has changed in what devices send, and at which stage.",
    "train": "Train a model from a recipe.",
    "evaluate": "Word errors of a bundle, by set and slice, with costs and a report.",
    "export": "Make a bundle from a training run.",
    "graph": "Make the decoding graph of a bundle of phones from text.",
    "synthesize": "Let free voices speak sentences, as training or test data.",
    "card": "Write a bundle's model card from an evaluation.",
}


class LazyCommands(TyperGroup):
    """A group whose commands are imported when they are needed, and whose errors are one clear line each."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the signature is the library's)
        """The names, in the order in which a user meets them."""
        names = [point.name for point in entry_points(group=_GROUP)]
        order = list(_SUMMARY)
        return sorted(names, key=lambda name: order.index(name) if name in order else len(order))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the signature is the library's)
        """The command, imported now; None if there is none of that name."""
        points = entry_points(group=_GROUP, name=cmd_name)
        return _load(next(iter(points))) if points else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in --help, made without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARY.get(name, "")) for name in self.list_commands(ctx)])

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; an error of ours becomes one line and an exit code of its own."""
        try:
            return super().invoke(ctx)
        except VoxloopError as error:
            typer.echo(f"voxloop: {error.message}", err=True)
            raise typer.Exit(row_of(error).exit_code) from error
        except ModuleNotFoundError as error:
            missing = _missing_extra(ctx.invoked_subcommand, error)
            typer.echo(f"voxloop: {missing.message}", err=True)
            raise typer.Exit(row_of(missing).exit_code) from error
        except KeyboardInterrupt:
            typer.echo("voxloop: interrupted", err=True)
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None


def _load(point: EntryPoint) -> Any:
    try:
        function: Any = point.load()
    except ModuleNotFoundError as error:
        raise _missing_extra(point.name, error) from error
    if isinstance(function, typer.Typer):
        command = typer.main.get_command(function)
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name=point.name)(function)
        command = typer.main.get_command(app)
    command.name = point.name
    return command


def _missing_extra(command: str, error: ModuleNotFoundError) -> ConfigError:
    module = next(iter(entry_points(group=_GROUP, name=command))).module
    extra = _EXTRA_OF_COMMAND.get(command) or _EXTRA_OF_PACKAGE.get(module.split(".")[0], module)
    return ConfigError(
        f"'voxloop {command}' needs the library '{error.name}', which is not installed; "
        f"install it with: pip install 'voxloop[{extra}]'"
    )


app = typer.Typer(
    cls=LazyCommands,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voxloop {__version__}")
        raise typer.Exit


@app.callback()
def voxloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Speech recognition from the microphone to the next model.

    Start with `voxloop serve --insecure` in one terminal and `voxloop listen --insecure` in another, or try audio files
    with `voxloop replay SOURCE --local`, which starts a server by itself.
    """


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
