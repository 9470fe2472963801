"""The command line: parse, call, print. One file a verb; the only place that prints."""

from attar.cli.main import main as main
