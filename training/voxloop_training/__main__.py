"""`python -m voxloop_training`: what torchrun starts in each process."""

import typer

from voxloop_training.commands.evaluate import evaluate
from voxloop_training.commands.export import export
from voxloop_training.commands.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (train, evaluate, export):
    app.command()(command)

if __name__ == "__main__":
    app()
