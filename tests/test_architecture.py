"""The rooms of the package, as docs/architecture.md draws them: imports point down."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import skcausalrm

PACKAGE = Path(skcausalrm.__file__).parent
ROOMS = [
    *("cli", "serving", "inspection", "inference", "export", "reward", "selection", "baselines"),
    *("metrics", "nuisances", "heads", "datasets", "text", "model_selection", "_utils"),
    "exceptions",
]
COMMANDS = {"pull", "inspect", "fit", "label", "compare", "score", "evaluate", "export", "serve"}
COMMANDS |= {"demo", "report", "threshold"}
# Lazy names: users look for scores and scorers in metrics, but fitting nuisances is reward's work.
UPWARD = {("metrics/__init__.py", "reward"), ("metrics/__init__.py", "nuisances")}
LIGHT = ("torch", "pandas", "matplotlib", "sklearn", "onnxruntime")
MAX_LINES = 400
# Methods of named tuples, and the standard library's way to the caller's frame.
PUBLIC_ALL_THE_SAME = {"_replace", "_asdict", "_getframe"}

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in FILES}
FOLDERS = [room for room in ROOMS if (PACKAGE / room).is_dir()]


def imported_rooms(name, tree):
    """Yield the rooms that a module imports, also inside functions and as lazy names."""
    depth = len(Path(name).parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skcausalrm."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
            yield from (parts[1] for parts in modules if parts[0] == "skcausalrm" and parts[1:])
        elif isinstance(node, ast.Constant) and str(node.value).startswith("..") and "__" in name:
            yield node.value[2:].partition(".")[0]


@pytest.mark.parametrize("name", [name for name in TREES if "/" in name])
def test_imports_point_down(name):
    room = name.partition("/")[0]
    lower = ROOMS[ROOMS.index(room) :]
    found = {skcausalrm._HOMES.get(other, other) for other in imported_rooms(name, TREES[name])}
    wrong = {other for other in found if other not in lower and "version" not in other}
    assert {other for other in wrong if (name, other) not in UPWARD} == set()


def test_every_folder_is_a_room():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(FOLDERS)


def test_modules_that_are_not_public_start_with_an_underscore():
    public = {name for name in TREES if "/" in name and not Path(name).name.startswith("_")}
    assert public == {f"cli/{command}.py" for command in COMMANDS}


def test_modules_are_short():
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text().splitlines()) for p in FILES}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_library_code_has_no_assert():
    found = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def is_own(node):
    """Return True for ``self``, ``cls`` and ``super()``."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def test_private_functions_and_methods_are_called_in_their_own_module_only():
    found = []
    for name, tree in TREES.items():
        nodes = list(ast.walk(tree))
        own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        found += [
            f"{name}:{node.lineno} {ast.unparse(node.func)}"
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if re.fullmatch("_[a-z].*", node.func.attr) and not is_own(node.func.value)
            if node.func.attr not in own | PUBLIC_ALL_THE_SAME
        ]
    assert found == []


def test_no_fitted_attribute_of_another_object_is_set():
    found = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if node.attr.endswith("_") and not node.attr.startswith("_") and not is_own(node.value)
    ]
    assert found == []


def test_names_on_the_architecture_page_exist():
    if not (page := PACKAGE.parent / "docs" / "architecture.md").exists():
        pytest.skip("the documentation is not in this distribution")
    named = re.findall(r"`(\w+/\w+\.py): (\w+)`", page.read_text())
    missing = []
    for module, name in named:
        nodes = TREES[module].body
        defined = {node.name for node in nodes if hasattr(node, "name")}
        defined |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign)}
        missing += [] if name in defined else [f"{module}: {name}"]
    assert len(named) > 20
    assert missing == []


def test_names_in_the_glossary_exist():
    if not (page := PACKAGE.parent / "docs" / "glossary.md").exists():
        pytest.skip("the documentation is not in this distribution")
    source = "\n".join(path.read_text() for path in FILES)
    cells = [line.split(" | ")[2] for line in page.read_text().splitlines() if line.count("|") == 5]
    named = [name for cell in cells for name in re.findall(r"`(\w+)", cell)]
    assert len(named) > 30
    assert [name for name in named if not re.search(rf"\b{name}\b", source)] == []


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light():
    """The whole package; and what `label`, `inspect` and `pull` import to read logs."""
    loaded = f"print([m for m in {LIGHT} if m in sys.modules])"
    logs = "import skcausalrm.cli._logs, skcausalrm.datasets._pull"
    printed = run(f"import sys, skcausalrm; {loaded}; {logs}; {loaded}")
    assert printed == "[]\n['pandas']\n"


ONE_FOLDER_AFTER_THE_OTHER = """
import sys
for folder in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "skcausalrm"]:
        del sys.modules[name]
    import skcausalrm
    room = getattr(skcausalrm, folder)
    missing = [name for name in room.__all__ if getattr(room, name) is None]
    assert not missing, (folder, missing)
    print(folder, len(room.__all__))
"""


def test_folders_and_their_public_names_resolve_without_an_import_of_their_own():
    """Each folder is the first of the package to be imported; one process saves loading torch."""
    folders = [folder for folder in FOLDERS if folder != "_utils"]
    resolved = dict(line.split() for line in run(ONE_FOLDER_AFTER_THE_OTHER, *folders).splitlines())
    assert list(resolved) == folders
    assert all(int(count) > 0 for folder, count in resolved.items() if folder != "cli"), resolved
