"""`python -m voxloop_training`: what torchrun starts in each process."""

import typer

from voxloop_training.commands.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.callback()(lambda: None)
app.command()(train)

if __name__ == "__main__":
    app()
