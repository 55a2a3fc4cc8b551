"""Entry point: run the command line, turn every expected failure into its message and exit code."""

from __future__ import annotations

import json
import signal
import sys
from types import FrameType

from pipeline.errors import DanasError, InterruptedRun, UsageError, printable


def main() -> None:
    """Run ``danas-deploy`` and leave with its exit code (docs/errors.md)."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code. Results go to stdout, everything else to stderr."""
    from typer.exceptions import TyperException

    from pipeline.cli import app

    try:
        code = app(args=arguments, standalone_mode=False, prog_name="danas-deploy")
    except TyperException as error:
        return _misused(error, arguments)
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _fail(error if isinstance(error, DanasError) else _bug(error), arguments)
    if code == InterruptedRun.exit_code:  # what Typer makes of a Ctrl-C
        return _fail(InterruptedRun("interrupted", "Interrupted before the work began."), arguments)
    return code if isinstance(code, int) else 0


def _bug(error: Exception) -> DanasError:
    return DanasError(
        "bug",
        f"{type(error).__name__}: {printable(error, 300)}",
        why="This is a bug in danas-deploy.",
        next="Run the same command with --debug for the traceback, and report it.",
    )


def _misused(error: Exception, arguments: list[str]) -> int:
    """A command, option or value that the parser refuses."""
    text = getattr(error, "format_message", error.__str__)()
    if type(error).__name__ == "NoArgsIsHelpError":
        # A group without a command: the parser's message is the help text itself.
        sys.stderr.write(f"{text}\n")
        return UsageError.exit_code
    return _fail(UsageError("bad-usage", printable(text), next="See `danas-deploy COMMAND --help`."), arguments)


def _fail(error: DanasError, arguments: list[str]) -> int:
    lines = [f"error: {error.what} [{error.id}]", error.why, error.next]
    sys.stderr.write("\n".join(line for line in lines if line) + "\n")
    if "--json" in arguments:
        sys.stdout.write(json.dumps(error.result | {"error": error.as_dict()}, indent=2, default=str) + "\n")
    return error.exit_code


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
