"""Durations in recipes."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from attar.duration import read_duration, written_duration

Duration = Annotated[float, PlainValidator(read_duration), PlainSerializer(written_duration)]
"""Seconds, in a file a text with units."""
