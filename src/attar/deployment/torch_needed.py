"""Attar is also installed without torch, where it only runs artifacts of another runtime."""

from __future__ import annotations

from attar.errors import MissingExtra


def need_torch(purpose: str) -> None:
    """Import torch.

    Args:
        purpose: What needs it; the subject of the error when it is absent.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra(f"{purpose} needs torch, which is not installed. Run: pip install attar.") from error
