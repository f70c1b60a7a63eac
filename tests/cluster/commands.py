"""Running other programs, with their failure as a sentence."""

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import CommandFailed

SHOWN_LINES = 15
# Exit codes as the shell and timeout(1) have them.
PROGRAM_MISSING = 127
TIMED_OUT = 124


def run(
    argv: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Args:
        what: what the program is run for, as in "could not {what}".

    Raises:
        CommandFailed: it ended with an error or not in time.
    """
    try:
        result = subprocess.run(
            [str(argument) for argument in argv],
            env=env,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"Could not {what}: the program {argv[0]} is missing.", PROGRAM_MISSING) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            f"Could not {what}: `{shlex.join(map(str, argv))}` took longer than {timeout_seconds:.0f} s.", TIMED_OUT
        ) from error
    if result.returncode != 0:
        raise failure(what, argv, result.returncode, (result.stdout + result.stderr).splitlines())
    return result.stdout


def run_watched(
    argv: Sequence[str | Path],
    *,
    what: str,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    new_session: bool = False,
) -> None:
    """Run a program to its end and pass each line it prints, on standard output or error, to `on_line`.

    Args:
        what: as for `run`.
        new_session: the program is not hit by signals to this process's group.

    Raises:
        CommandFailed: it ended with an error.
    """
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            [str(argument) for argument in argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=new_session,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"Could not {what}: the program {argv[0]} is missing.", PROGRAM_MISSING) from error
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                del lines[: -SHOWN_LINES * 4]
                on_line(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise failure(what, argv, process.returncode, lines)


def failure(what: str, argv: Sequence[str | Path], exit_code: int, lines: Sequence[str]) -> CommandFailed:
    """The error for a program that ended with `exit_code` after printing `lines`."""
    shown = "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:] if line.strip())
    command = shlex.join(map(str, argv))
    if len(command) > 300:
        command = command[:300] + " …"
    return CommandFailed(f"Could not {what}: `{command}` ended with {exit_code}.\n{shown}".rstrip(), exit_code)


def isolated(argv: Sequence[str | Path]) -> list[str | Path]:
    """The same command in mount and PID namespaces of its own: if it is killed, its mounts and all its processes go with it."""
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--", *argv]
