"""The verbs put together, and what every one of them shares: errors in one sentence, and exit codes."""

from __future__ import annotations

import errno
import gc
import io
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from inspect import getdoc
from pathlib import Path

import typer
from typer.exceptions import TyperException

from attar.cli import compare, compress, label, measure, recipes, report, study
from attar.cli.outcome import CODES, DONE
from attar.cli.stopping import SENTENCE, stopping
from attar.processes import rank

BAD_INPUT, CRASHED, INTERRUPTED, UNREAD, TERMINATED = 2, 70, 130, 141, 143

TRACEBACK = "The traceback is in"
"""How a sentence begins that says where the traceback of a crash was written."""

app = typer.Typer(
    name="attar",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Makes big models small: a trained model or ensemble and data in; the smallest, fastest model that keeps "
    "within the budget out, as a file that a runtime executes, with the evidence.\n\n"
    "Begin with: [bold]attar compress digits[/bold]\n\n"
    "Exit codes: 0 done, 1 the budget is not met (the artifact is there all the same), 2 bad input, "
    "3 the budget is met on validation, where the choice is made, and not on test (the artifact is there, too), "
    "70 a crash (a defect of Attar: the message says where the traceback is, ATTAR_TRACEBACK=1 prints it), "
    "130 interrupted, 141 nobody reads the output any more, 143 terminated; after 130 and 143 the same command "
    "continues where it stopped.",
)
for _verb in (
    compress.compress,
    measure.measure,
    report.report,
    compare.compare,
    recipes.recipes,
    recipes.copy,
    label.label,
    study.study,
):
    # Of a paragraph after the first, typer keeps the ends of the lines, wherever the terminal's are.
    _paragraphs = (getdoc(_verb) or "").split("\n\n")
    app.command(_verb.__name__, help="\n\n".join(" ".join(one.split()) for one in _paragraphs))(_verb)


@app.callback(invoke_without_command=True)
def _root(show_version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if show_version:
        from importlib.metadata import version  # no other command waits for it

        print(version("attar"))
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with one of the documented codes."""
    code = run(sys.argv[1:])
    gc.freeze()  # a second or two would go on looking, once more, through all that ends with the process
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line on these arguments and return the exit code.

    Every error is one sentence on standard error. With ``ATTAR_TRACEBACK=1`` in the environment, the traceback is
    printed before it.
    """
    logging.getLogger("attar").addHandler(_NOWHERE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever a name contains, every terminal can show it somehow
            stream.reconfigure(errors="backslashreplace")
    silent = False
    with stopping() as stop:
        try:
            _usable(arguments)
            silent = rank() > 0
            with _nothing_printed() if silent else nullcontext():
                code = app(args=arguments, standalone_mode=False)
            code = code if isinstance(code, int) else DONE
            sentence = None
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            code, sentence = INTERRUPTED, None
        except BaseException as error:
            if _nobody_reads(error):
                # What is left in the buffer goes nowhere, or Python would try once more at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return stop.code or UNREAD
            if os.environ.get("ATTAR_TRACEBACK", "") not in ("", "0"):
                traceback.print_exc()
            # What others made of an interruption is no crash, of which a file would tell.
            code, sentence = (CRASHED, None) if stop.code is not None else _code_and_message(error)
        if silent and code in CODES.values():
            code = DONE  # that of rank 0 says what became of the budget; torchrun would end it for the code of another
        if stop.code is not None:  # whatever other code made of it
            code = stop.code
    if silent and code != CRASHED:
        pass  # the process of rank 0 says it
    elif code in (INTERRUPTED, TERMINATED):
        sys.stderr.write(SENTENCE)
    elif sentence is not None:
        sys.stderr.write(f"attar: {sentence}\n")
    return code


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """For all but the first of several processes that torchrun started."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


_NOWHERE = logging.NullHandler()
"""What is logged goes to the log of a run; without one it would go to standard error, beside the sentence."""


def _nobody_reads(error: BaseException) -> bool:
    """Whether whoever read standard output closed it, as `head` does; rich makes a SystemExit of that."""
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return isinstance(cause, BrokenPipeError)


def _code_and_message(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence of an exception."""
    from attar.errors import AttarError

    if isinstance(error, AttarError):
        # The message of a library, quoted in ours, may have lines of its own, and what no terminal can show.
        message = " ".join(str(error).split())
        return BAD_INPUT, message.encode("utf-8", "backslashreplace").decode()
    if isinstance(error, OSError) and error.strerror is not None and (error.filename or error.errno in _FULL):
        # What the system refuses is for the user to change, wherever it happens.
        name = "The disk" if error.filename is None else _cut(str(error.filename))
        return BAD_INPUT, f"{name} cannot be used; {error.strerror}. Change that or name another."
    if isinstance(error, TyperException):
        # The parser's own complaints: an unknown option, a missing argument.
        return BAD_INPUT, f"{_ended(_cut(' '.join(error.format_message().split()), 400))} See attar --help."
    return CRASHED, _crash(error)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _crash(error: BaseException) -> str:
    """The sentence for an exception that is not ours, after its traceback was written to a file."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(TRACEBACK)]
    if notes:
        where = notes[0]
    else:
        try:
            _forget_old_crashes()
            with tempfile.NamedTemporaryFile(
                "w", prefix=_CRASH, suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
            ) as file:
                file.write("".join(traceback.format_exception(error)))
            where = f"{TRACEBACK} {file.name}"
        except OSError:
            where = "Set ATTAR_TRACEBACK=1 to see the traceback"
    message = _cut(" ".join(str(error).split()).rstrip("."), 300)
    if isinstance(error, MemoryError):
        return f"memory ran out ({message or 'MemoryError'}); use smaller batches or less data. {where}."
    return f"crashed with {type(error).__name__}{': ' if message else ''}{message}. This is a defect of Attar. {where}."


_CRASH, _KEPT_SECONDS = "attar-crash-", 24 * 3600
"""How the file of a traceback begins, and how long it stays, for a crash where no run folder has a log yet."""


def _forget_old_crashes() -> None:
    """Remove the tracebacks of this user that had their time to be read."""
    for path in Path(tempfile.gettempdir()).glob(f"{_CRASH}*.txt"):
        with suppress(OSError):
            about = path.lstat()
            if about.st_uid == os.getuid() and time.time() - about.st_mtime > _KEPT_SECONDS:
                path.unlink()


def _cut(message: str, limit: int = 200) -> str:
    """A text that may be long, without its middle, and without what no terminal can show."""
    message = message.encode("utf-8", "backslashreplace").decode()
    return message if len(message) <= limit else f"{message[: limit * 3 // 4]} ... {message[-limit // 4 :]}"


def _ended(message: str) -> str:
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _usable(arguments: list[str]) -> None:
    """See that every word of the command can be a path, or text at all."""
    from attar.errors import BadInput, shown
    from attar.recipes.files import no_text, too_long

    for word in arguments:
        name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if name and not equals:
            continue
        # What stands behind a = need not be a path.
        if (why := no_text(value) or (None if "=" in word else too_long(value))) is not None:
            raise BadInput(f"An argument of the command line {why}; got {shown(word, 60)}. Name another.")
    if arguments and arguments[0] not in {one.name for one in app.registered_commands} and Path(arguments[0]).is_file():
        raise BadInput(
            f"{shown(arguments[0], 60)} is a file, and a command begins with a verb. Write attar compress before it."
        )
