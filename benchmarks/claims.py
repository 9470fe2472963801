"""Everything that the results claim: aim, figure reached with its interval, met or not.

python benchmarks/claims.py
"""

from __future__ import annotations

import json
from typing import Any

from result import RESULTS


def line(claim: dict[str, Any]) -> str:
    """One claim in words; figures as the file has them, shortened."""
    reached = f"{claim['reached']:.4g}" if isinstance(claim["reached"], int | float) else str(claim["reached"])
    interval = claim.get("interval")
    around = f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
    if claim["aim"] is None:
        return f"  {'':<8}{claim['claim']}: {reached}{around}; no aim was set"
    note = f" ({claim['note']})" if claim.get("note") else ""
    return (
        f"  {'met' if claim['met'] else 'NOT MET':<8}{claim['claim']}: {reached}{around}; aim {claim['aim']:.4g}{note}"
    )


def main() -> None:
    """Print the claims of every result, and which results make none."""
    silent = []
    for path in sorted(RESULTS.glob("*.json")):
        claims = json.loads(path.read_text(encoding="utf-8")).get("claims")
        if not claims:
            silent.append(path.stem)
            continue
        print(path.stem)
        print("\n".join(map(line, claims)))
    if silent:
        print(f"Without claims of their own: {', '.join(silent)}")


if __name__ == "__main__":
    main()
