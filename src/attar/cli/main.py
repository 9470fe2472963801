"""The verbs put together, and what every one of them shares: errors in one sentence, and exit codes."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import typer
from typer.exceptions import TyperException

from attar.cli import compress, label, measure, recipes, report, study

DONE, NOT_MET, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="attar",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Makes big models small: a trained model or ensemble and data in; the smallest, fastest model that keeps the "
    "accuracy out, as a file that a runtime executes, with the evidence.\n\n"
    "Begin with: [bold]attar compress digits[/bold]\n\n"
    "Exit codes: 0 done, 1 what was asked was not reached (the artifact is there all the same), 2 bad input, "
    "130 interrupted.",
)
app.command("compress")(compress.compress)
app.command("measure")(measure.measure)
app.command("report")(report.report)
app.command("recipes")(recipes.recipes)
app.command("copy")(recipes.copy)
app.command("label")(label.label)
app.command("study")(study.study)


@app.callback(invoke_without_command=True)
def _root(show_version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if show_version:
        print(version("attar"))
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with one of the documented codes."""
    # A module of the user's that lies in the working folder is found, and after all others, so that it hides nothing.
    sys.path.append(str(Path.cwd()))
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line on these arguments and return the exit code."""
    from attar.errors import AttarError

    try:
        code = app(args=arguments, standalone_mode=False)
    except AttarError as error:
        # What a library said, quoted in a message, may have lines of its own.
        sys.stderr.write(f"attar: {' '.join(str(error).split())}\n")
        return BAD_INPUT
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        # What the system refuses is the user's to mend, wherever it happens.
        sys.stderr.write(f"attar: {error.filename} cannot be used; {error.strerror}. Mend that or name another.\n")
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except TyperException as error:
        # The parser's own complaints: an unknown option, a missing argument.
        sys.stderr.write(f"attar: {error.format_message()} See attar --help.\n")
        return BAD_INPUT
    if code == INTERRUPTED:
        sys.stderr.write("attar: interrupted; the same command continues where it stopped\n")
    return code if isinstance(code, int) else DONE
