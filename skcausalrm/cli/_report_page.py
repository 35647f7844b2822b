"""A report as one HTML page: nothing is loaded from elsewhere, and no text of a log is markup."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from .._utils._extras import import_extra

_TEMPLATES = Path(__file__).parent / "_templates"


def check_jinja() -> None:
    """Raise if Jinja2 is not installed.

    Raises
    ------
    MissingExtraError
    """
    import_extra("jinja2", extra="report", purpose="`skcausalrm report`")


def render_page(parts: dict[str, Any]) -> bytes:
    """Return the page in UTF-8; every value of `parts` is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["first_capital"] = lambda text: text[:1].upper() + text[1:]
    css = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    # Pictures are data, the one style sheet is known by its hash, and nothing runs.
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        f"form-action 'none'"
    )
    page = environment.get_template("report.html").render(
        css=Markup(css),  # our own, and no value of a log
        policy=Markup(policy),
        **parts,
    )
    return page.encode("utf-8", "replace")  # a log may hold half a surrogate pair
