import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "baselines.md"


@pytest.mark.filterwarnings("ignore::skcausalrm.exceptions.SkcausalrmWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_examples_of_the_page_run():
    pytest.importorskip("torch")
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0 < result.attempted


def test_the_page_names_every_method():
    from skcausalrm.baselines import all_baselines

    text = PAGE.read_text()
    assert [cls.__name__ for cls in all_baselines() if f"`{cls.__name__}`" not in text] == []
