"""Print the lowest version that pyproject.toml allows of each direct dependency, as constraints.

Usage: python .ci/lowest.py pyproject.toml > constraints.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

# Large, and their lower bounds name the oldest release whose interface is used.
EXEMPT = {"torch", "transformers", "sentence-transformers"}
# Tools that check the code rather than run it.
EXTRAS = ("cpu", "text", "bundled", "export", "plot", "datasets", "serve", "trl", "demo", "dev")
TOOLS = {"codespell", "mypy", "pre-commit", "ruff"}


def lowest(project: dict) -> list[str]:
    """Return a pin per dependency that has a lower bound."""
    lines = list(project["dependencies"])
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    pins = set()
    for requirement in map(Requirement, lines):
        bounds = [s.version for s in requirement.specifier if s.operator in (">=", "~=", "==")]
        if bounds and requirement.name not in EXEMPT | TOOLS:
            pins.add(f"{requirement.name}=={bounds[0]}")
    return sorted(pins)


if __name__ == "__main__":
    print("\n".join(lowest(tomllib.loads(Path(sys.argv[1]).read_text())["project"])))
