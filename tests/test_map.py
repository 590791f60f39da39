"""Every recipe has a category, and the page of them is what they say."""

import re
import runpy
from pathlib import Path

import pytest

from bal.strategies.categories import CATEGORIES, category

DOCS = Path(__file__).parent.parent / "docs"
MAP = runpy.run_path(str(DOCS / "map.py"))
MARKED, by_category, page, source = MAP["marked"](), MAP["by_category"], MAP["page"], MAP["source"]
KINDS = {"U": "uncertainty", "D": "distribution", "H": "hybrid"}
OTHERWISE = {"k_medoids"}  # the rule spreads out; the recipe hands it the most uncertain rows


@pytest.mark.parametrize("name", sorted(MARKED))
def test_every_recipe_has_a_category(name):
    assert MARKED[name].category in CATEGORIES
    assert source(name) or name == "random"


def test_papers_are_told_without_their_titles():
    assert source("margin") == "Scheffer, Decomain and Wrobel 2001"
    assert source("learned_utility") == "Ding et al. 2023"
    assert by_category()["learned"] == ["bandit", "learned_policy", "learned_utility"]


def test_the_page_is_made_of_the_recipes():
    assert (DOCS / "map.md").read_text() == page(), "run: python docs/map.py > docs/map.md"
    listed = re.findall(r"^\| `(?:[\w.]+\.)?(\w+)` \|", page(), re.MULTILINE)
    assert sorted(listed) == sorted(MARKED)
    assert [name for names in by_category().values() for name in names] == listed


def test_the_short_table_is_in_the_readme():
    readme = (DOCS.parent / "README.md").read_text()
    table = readme.split("<!-- methods -->\n")[1].split("\n<!-- end of methods -->")[0]
    assert table == MAP["short"](), "put what `python docs/map.py --readme` prints between the marks"
    assert [line.split(" |")[0][2:] for line in table.splitlines()[2:]] == list(CATEGORIES)
    assert "`bandit`" in table


def test_categories_are_those_of_the_table_of_parts():
    """The table of parts, written by hand, says U, D or H of what recipes are made of."""
    rows = re.findall(r"^\| (`.*?) \| .*? \| ([UDH](?:, [UDH])*) \| ", (DOCS / "methods.md").read_text(), re.MULTILINE)
    compared = 0
    for names, kinds in rows:
        names, kinds = re.findall(r"`(\w+)`", names), kinds.split(", ")
        for name, kind in zip(names, kinds if len(kinds) == len(names) else kinds * len(names)):
            if name in MARKED and name not in OTHERWISE:
                assert MARKED[name].category == KINDS[kind], name
                compared += 1
    assert compared > 15


def test_a_category_that_is_none():
    with pytest.raises(ValueError, match=r"expected a category among baseline, uncertainty, .*, got 'diverse'"):
        category("diverse")
