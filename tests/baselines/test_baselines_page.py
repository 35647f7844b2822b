from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "baselines.md"


def test_the_page_names_every_method():
    from skcausalrm.baselines import all_baselines

    text = PAGE.read_text()
    assert [cls.__name__ for cls in all_baselines() if f"`{cls.__name__}`" not in text] == []
