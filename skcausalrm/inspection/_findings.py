"""Findings: what was checked of a reward and its log, and what came out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

# In the order of weight.
SEVERITIES = ("serious", "moderate", "note")


@dataclass(frozen=True)
class Finding:
    """One check of `diagnose` and what came out.

    Parameters
    ----------
    code : str
        Stable code, such as "CRM001".
    title : str
        What the check is about, in a few words.
    status : {"found", "clear", "not checked"}
        Whether there is something to see to.
    severity : {"serious", "moderate", "note"}
        How much it matters: what is reported may be wrong, it rests on less than it seems to, or it
        is good to know.
    text : str
        What was measured, in a sentence; for "not checked" the reason.
    figures : dict of str to float, int or str
        The same as numbers.
    why : str
        Why it matters.
    what_to_do : str
        What helps.
    page : str
        Its section in the documentation.

    Examples
    --------
    >>> from skcausalrm.inspection import diagnose
    >>> finding = diagnose(None, None, [1, 0, None, 1])["CRM017"]
    >>> finding.status, finding.figures["rarer"]
    ('found', 1)
    """

    code: str
    title: str
    status: str
    severity: str
    text: str
    figures: dict[str, Any]
    why: str
    what_to_do: str
    page: str

    def __repr__(self) -> str:
        how = self.severity if self.status == "found" else self.status
        return f"{self.code} {self.title} ({how}): {self.text}"


class Findings:
    """Results of `diagnose`: iterates over what was found, the most serious first.

    Parameters
    ----------
    checks : list of Finding
        All checks in the order of their codes, whatever came out.

    Examples
    --------
    >>> from skcausalrm.inspection import diagnose
    >>> findings = diagnose(None, None, [1, 0, None, 1])
    >>> findings.codes
    ['CRM017']
    >>> "CRM009" in findings, findings["CRM009"].text
    (False, 'no users are given.')
    """

    def __init__(self, checks: list[Finding]):
        self.checks = checks

    @property
    def found(self) -> list[Finding]:
        """What there is to see to, the most serious first."""
        found = [check for check in self.checks if check.status == "found"]
        return sorted(found, key=lambda check: SEVERITIES.index(check.severity))

    @property
    def clear(self) -> list[Finding]:
        """Checks that found nothing."""
        return [check for check in self.checks if check.status == "clear"]

    @property
    def not_checked(self) -> list[Finding]:
        """Checks that could not be made, each with the reason as its text."""
        return [check for check in self.checks if check.status == "not checked"]

    @property
    def codes(self) -> list[str]:
        """Codes of what was found."""
        return [check.code for check in self.found]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __contains__(self, code: object) -> bool:
        return code in self.codes

    def __getitem__(self, code: str) -> Finding:
        for check in self.checks:
            if check.code == code:
                return check
        raise InvalidInputError(
            f"There is no finding {code!r}: choose one of {self.checks[0].code} to "
            f"{self.checks[-1].code}."
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each check.

        Returns
        -------
        DataFrame
            Indexed by code: title, status, severity, text, what_to_do and page.
        """
        import pandas as pd

        columns = ["title", "status", "severity", "text", "what_to_do", "page"]
        rows = [[getattr(check, name) for name in columns] for check in self.checks]
        index = pd.Index([check.code for check in self.checks], name="code")
        return pd.DataFrame(rows, index=index, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns
        -------
        dict
            "findings", with all fields of each; "clear", with code, title, text and figures; and
            "not_checked", from code to reason.
        """
        short = ("code", "title", "text", "figures")
        return {
            "findings": [asdict(check) for check in self.found],
            "clear": [{name: getattr(check, name) for name in short} for check in self.clear],
            "not_checked": {check.code: check.text for check in self.not_checked},
        }

    def __repr__(self) -> str:
        lines = [f"{check!r}\n  {check.what_to_do}" for check in self.found]
        if self.clear:
            lines.append(f"clear: {_named(self.clear)}")
        lines += [f"not checked: {check.code} {check.title}: {check.text}"
                  for check in self.not_checked]  # fmt: skip
        return "\n".join(lines)


def _named(checks: list[Finding]) -> str:
    return ", ".join(f"{check.code} {check.title}" for check in checks)
