"""Entry point: run the command line, turn every expected failure into its message and exit code."""

from __future__ import annotations

import json
import signal
import sys
from types import FrameType

from pipeline.errors import DanasError, InterruptedRun


def main() -> None:
    """Run ``danas-deploy`` and leave with its exit code (docs/errors.md)."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code. Results go to stdout, everything else to stderr."""
    import click
    import typer

    from pipeline.cli import app

    debug = "--debug" in arguments
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="danas-deploy")
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort, typer.Abort):
        return _fail(InterruptedRun("interrupted", "Interrupted before the work began."), arguments)
    except DanasError as error:
        if debug:
            raise
        return _fail(error, arguments)
    except Exception as error:
        if debug:
            raise
        bug = DanasError(
            "bug",
            f"{type(error).__name__}: {str(error)[:300]}",
            why="This is a bug in danas-deploy.",
            next="Run the same command with --debug for the traceback, and report it.",
        )
        return _fail(bug, arguments)


def _fail(error: DanasError, arguments: list[str]) -> int:
    lines = [f"error: {error.what} [{error.id}]", error.why, error.next]
    sys.stderr.write("\n".join(line for line in lines if line) + "\n")
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": error.as_dict()}) + "\n")
    return error.exit_code


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
