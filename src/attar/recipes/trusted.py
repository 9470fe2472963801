"""Functions of the user's that a recipe names: which of them run, and what is told where they raise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attar.errors import AttarError, BadInput
from attar.network.references import folders_of, place_of, summary
from attar.recipes.schema.recipe import Recipe

log = logging.getLogger(__name__)


@contextmanager
def trusted(recipe: Recipe) -> Iterator[None]:
    """Within it, the functions that a recipe names can be had, and what they raise is told as theirs.

    Raises:
        BadInput: If it names one that it must not name, or code of the user's raises anything.
    """
    references = recipe.references
    with recipe.trust.opened({f"{key} of the recipe": reference for key, reference in references.items()}):
        try:
            yield
        except AttarError:
            raise
        except (Exception, SystemExit) as error:
            place = place_of(error, folders_of(references.values()))
            if place is None:
                raise
            log.error("code of the user's failed", exc_info=error)
            raise BadInput(
                f"Code that the recipe names failed: {summary(error)} (in {place}). Correct it there."
            ) from error
