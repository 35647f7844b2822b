"""README and the pages of docs: examples run, commands parse, the API reference is complete."""

import doctest
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer

from skcausalrm.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="docs are not in this distribution")

PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "docs/guide/*.md", "docs/concepts/*.md")
    for path in sorted(ROOT.glob(pattern))
]
WITH_EXAMPLES = [
    page for page in PAGES if page != "README.md" and ">>> " in (ROOT / page).read_text()
]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages whose plain Python blocks another test runs.
RUN_ELSEWHERE = {
    "docs/command_line.md": "tests/cli/test_docs_page.py",
    "docs/feedback_formats.md": "tests/datasets/tools/test_formats_page.py",
    "docs/guide/baselines.md": "tests/test_published_comparison.py",
    "docs/guide/export.md": "tests/export/test_docs_pages.py",
    "docs/guide/rlhf.md": "tests/export/test_docs_pages.py",
    "docs/guide/serving.md": "tests/export/test_docs_pages.py",
    "docs/guide/transformers.md": "tests/export/test_docs_pages.py",
}
SCRIPT = re.compile(r"python ((?:benchmarks|examples)/\w+\.py)")


def blocks(page, *languages):
    """Yield the code blocks of a page that are in one of the languages."""
    found = FENCE.findall((ROOT / page).read_text())
    return [text for language, text in found if language in languages]


def command_lines(page):
    """Yield what a page types into a shell: continued lines joined, prompt and comment left out."""
    for block in blocks(page, "", "console", "bash", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ").partition("  #")[0].strip()


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=flags)
    assert result.failed == 0 < result.attempted


@pytest.mark.parametrize("page", PAGES)
def test_python_on_a_page_is_run(page):
    plain = [block for block in blocks(page, "python") if not block.startswith(">>> ")]
    if page in RUN_ELSEWHERE:
        assert page.rpartition("/")[2] in (ROOT / RUN_ELSEWHERE[page]).read_text()
    else:
        assert plain == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_parse(page):
    group = typer.main.get_command(app)
    for line in command_lines(page):
        if line.startswith("skcausalrm "):
            _, name, *arguments = shlex.split(line.partition(" > ")[0])
            if name.isupper():
                continue
            context = group.make_context("skcausalrm", ["--help"], resilient_parsing=True)
            command = group.get_command(context, name)
            assert command is not None, line
            command.make_parser(context).parse_args(arguments)  # raises at an unknown option


def test_commands_name_targets_and_scripts_that_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in PAGES:
        for line in command_lines(page):
            words = line.split()
            if words[:1] == ["make"]:
                assert {word for word in words[1:] if "=" not in word} <= set(targets), line
        for script in SCRIPT.findall((ROOT / page).read_text()):
            assert (ROOT / script).exists(), f"{page}: {script}"


def test_api_reference_lists_every_public_name():
    listed, module = {}, None
    for line in (DOCS / "api.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif module and re.fullmatch(r"   \w+", line):
            listed.setdefault(module, set()).add(line.strip())
    for module, names in listed.items():
        found = import_module(module)
        public = [name for name in vars(found) if not name.startswith("_")]
        assert names == set(getattr(found, "__all__", public)), module
    folders = {path.parent.name for path in (ROOT / "skcausalrm").glob("[a-z]*/__init__.py")}
    assert {f"skcausalrm.{folder}" for folder in folders - {"cli"}} <= set(listed)
