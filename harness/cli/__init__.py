"""The command line. Light: each command imports what it needs when it runs, so that --help answers at once."""

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

from harness.cli import bench, cache, catalogue, compare, data, plugin, reports, runs, submissions, sweeps, weights
from harness.cli.options import with_home_paths
from harness.runtime.terminal import open_streams
from zoo.errors import Stopped, UserError
from zoo.files import is_full, reason_of
from zoo.libraries import check_loaded, version
from zoo.text import visible

app = typer.Typer(
    help="Train, evaluate and submit any combination of stream encoders, fusion and temporal head on ABAW data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": runs.run,
    "sweep": sweeps.sweep,
    "predict": runs.predict,
    "evaluate": runs.evaluate,
    "submit": submissions.submit,
    "verify": submissions.verify,
    "submissions": submissions.submissions,
    "ensemble": runs.ensemble,
    "compare": compare.compare,
    "reproduce": compare.reproduce,
    "leaderboard": runs.leaderboard,
    "report": reports.report,
    "list": catalogue.list_,
    "recipes": catalogue.recipes,
    "info": catalogue.info,
    "check": catalogue.check,
    "bench": bench.bench,
    "env": catalogue.env,
    "explain": catalogue.explain,
}


def _version(asked: bool) -> None:
    if asked:
        print(f"abaw-zoo {version('abaw-zoo') or 'not installed'}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    pass


for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")
app.add_typer(plugin.app, name="plugin")
app.add_typer(weights.app, name="weights")
with_home_paths(app)


def main() -> None:
    """Run the program. A mistake the user can mend is one line and exit code 2; its UserError is the exit's cause."""
    # Before torch is loaded: OpenMP threads that spin while they wait make a shared machine crawl. Measured with
    # two threads on two busy cores: an eigendecomposition of 1280 x 1280 took 23.7 s spinning, 0.36 s sleeping.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Before CUDA is: without it matrix products of a GPU may differ from run to run (torch, "Reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # several processes: remarks that concern nobody
    warnings.showwarning = lambda message, *_: print(f"warning: {visible(str(message))}", file=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's farewell ends like Ctrl-C
    open_streams()
    try:
        _answer()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except (KeyboardInterrupt, Stopped):
        print("stopped; a run goes on with `harness run --resume RUN`", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (Python flushes it at its end, and would complain)
        sys.exit(0)


def _answer() -> None:
    """Run the command; what the user can do something about becomes a UserError."""
    try:
        try:
            app(prog_name="harness")
        finally:
            sys.stdout.flush()  # here, where a full disk or a closed pipe is told like any other
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
    """Run a command line in this process; what it prints is shown only where it fails. For measurements of a whole
    command in a process of its own (harness.benchmarks.measure.in_child)."""
    sys.argv = ["harness", *arguments]
    with redirect_stdout(io.StringIO()) as said:
        try:
            main()
        except SystemExit as end:
            if end.code:
                print(said.getvalue(), file=sys.stderr)
                raise
    return 0
