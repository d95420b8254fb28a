"""The command line. Light: each command imports its libraries when it runs, so that --help answers at once."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Annotated

import typer

from harness.cli import (
    bench,
    cache,
    catalogue,
    compare,
    data_look,
    plugin,
    pretrain,
    reports,
    runs,
    submissions,
    sweeps,
    weights,
)
from harness.cli.help import Group, examples
from harness.cli.options import with_home_paths
from harness.runtime.interrupts import CONTINUE
from harness.runtime.terminal import open_streams
from zoo.errors import Stopped, UserError
from zoo.files import is_full, reason_of
from zoo.libraries import check_loaded, version
from zoo.text import visible

app = typer.Typer(
    help="Train, evaluate and submit any combination of stream encoders, fusion and temporal head on ABAW data.",
    epilog="`harness help` lists topics: the grammar of --encoders, all settings, data folders, and more.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Run": {
        "run": runs.run,
        "sweep": sweeps.sweep,
        "pretrain": pretrain.pretrain,
        "predict": runs.predict,
        "evaluate": runs.evaluate,
        "ensemble": runs.ensemble,
        "reproduce": compare.reproduce,
        "check": catalogue.check,
    },
    "Look": {
        "leaderboard": runs.leaderboard,
        "compare": compare.compare,
        "report": reports.report,
        "list": catalogue.list_,
        "info": catalogue.info,
        "recipes": catalogue.recipes,
        "bench": bench.bench,
        "env": catalogue.env,
        "explain": catalogue.explain,
        "help": catalogue.help_,
    },
    "Submit": {
        "submit": submissions.submit,
        "verify": submissions.verify,
        "submissions": submissions.submissions,
    },
}
GROUPS: dict[str, dict[str, typer.Typer]] = {
    "Data": {"data": data_look.app, "cache": cache.app},
    "Plugins": {"plugin": plugin.app, "weights": weights.app},
}
"""Commands and groups of commands by the section of ``harness --help`` that lists them."""


def _version(asked: bool) -> None:
    if asked:
        print(f"abaw-zoo {version('abaw-zoo') or 'not installed'}")
        raise typer.Exit


@app.callback()
@examples(
    "harness run --encoders face,context --fusion late --head gru",
    "harness predict my_video.mp4 --overlay drawn.mp4",
    "harness run --data DIR --track va",
    "harness help branches",
)
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
for panel, groups in GROUPS.items():
    for name, group in groups.items():
        app.add_typer(group, name=name, rich_help_panel=panel)
with_home_paths(app)


def main() -> None:
    """Run the program.

    A UserError is printed as one line and ends the program with exit code 2; it is the ``__cause__`` of that exit.
    """
    # Set before torch is loaded: OpenMP threads that spin while they wait slow down a shared machine. Measured with
    # two threads on two busy cores: an eigendecomposition of 1280 x 1280 took 23.7 s spinning, 0.36 s sleeping.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Set before CUDA is initialised: otherwise matrix products on a GPU may differ from run to run (see
    # "Reproducibility" in the documentation of torch).
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # with several processes torch logs remarks that no user needs
    warnings.showwarning = lambda message, *_: print(f"warning: {visible(str(message))}", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's SIGTERM stops a run as Ctrl-C does
    open_streams()
    try:
        _answer()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except (KeyboardInterrupt, Stopped):
        print(f"stopped; continue {CONTINUE}, anything else with the same command", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (Python flushes stdout at exit, which would print an error)
        sys.exit(0)


def _answer() -> None:
    """Run the command; turn errors of the disk, of libraries and of file limits into a UserError."""
    try:
        try:
            app(prog_name="harness")
        finally:
            sys.stdout.flush()  # here, so that a full disk or a closed pipe is reported like any other error
    except (UserError, Stopped, BrokenPipeError):
        raise
    except Exception as error:
        check_loaded(error)
        if isinstance(error, OSError) and (is_full(error) or error.errno == errno.EROFS):
            name = error.filename or "a file"
            raise UserError("file-not-writable", name=name, strerror=reason_of(error)) from error
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise UserError("file-too-many", strerror=error.strerror) from error
        raise


def run_quietly(*arguments: str) -> int:
    """Run a command line in this process and show its output only if it fails.

    For measurements of a whole command in a child process (harness.benchmarks.measure.in_child).
    """
    sys.argv = ["harness", *arguments]
    with redirect_stdout(io.StringIO()) as said:
        try:
            main()
        except SystemExit as end:
            if end.code:
                print(said.getvalue(), file=sys.stderr)
                raise
    return 0
