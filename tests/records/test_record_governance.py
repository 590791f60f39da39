"""A page about one run: what is on record and what is not; and the table that says beside what it can be put."""

import re
from pathlib import Path

import pytest
from record_cases import CONFIG, make_round

from bal.records import CorruptRecordError, chain, governance, open_record
from bal.records.governance import SUPPORTS

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"


def sections(page):
    """The lines of each section, and beside what it is put."""
    found = {}
    for part in page.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        found[title] = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    return found


def page_of(root, events, config=CONFIG):
    with open_record(root, "run", config, "d1") as record:
        record.append(events)
        record.time({"seed": 0, "round": 0, "times": {"fit": 1.5}, "memory": 3 * 2**20})
        record.time({"seed": 0, "round": 1, "times": {"fit": 0.5, "query": 0.25}, "memory": 2 * 2**20})
    return record, sections(governance(record.path))


def test_an_experiment_is_told_in_numbers_of_its_record(tmp_path):
    told = {"log_q": [-1.0, -2.0, -0.5], "annotator": ["Ann", "Bob", None], "cost": [1.0, 2.5, 4.0]}
    odd = make_round(
        2, seed=0, valid=[True, True, False], info={"all_equal": True, "num_nan": 3}, metrics={"accuracy": 0.9}
    )
    start = make_round(0, scores=[float("nan")] * 3, metrics={"accuracy": 0.25})
    record, found = page_of(tmp_path, [start, make_round(1, metrics={"accuracy": 0.5}, **told), odd])
    assert list(found) == list(SUPPORTS)
    assert found["Data"] == ["fingerprint: d1"]
    assert found["Method"] == ["acquisition: bald", "batch_size: 3", "learner.members: 5", "learner.rate: 0.1"]
    assert found["Who labeled"] == [
        "Ann: 1 answer",
        "Bob: 1 answer",
        "nobody named: 6 answers",
        "cost of all labels: 12.5",
    ]
    assert found["What was chosen, and why"] == [
        "1 seed, 5 picks beside 3 rows of start sets",
        "2 of 2 rounds have the score by which each row was picked",
        "1 of 2 rounds have the probability of each pick (log_q)",
        "1 of 2 rounds chose among equal scores",
        "1 of 2 rounds met scores that are no numbers",
    ]
    assert found["What was measured"] == ["accuracy: mean 0.25 at first, 0.9 at last, 1 seed"]
    assert found["What it took"] == ["fit: 2 s", "query: 0.25 s", "peak memory: 3 MiB"]
    assert found["Integrity"] == ["schema 3, 3 events, not finished", f"last digest of the chain: {chain(record.path)}"]
    lacks = found["What is not recorded"]
    assert any(line.startswith("the probability of every pick") for line in lacks)
    assert "digests of the data as they were used" in lacks
    assert "who gave the labels" not in lacks
    assert found["Code and environment"][0].startswith("from event 0 on: bal 0.1.0")


def test_a_campaign_is_told_with_all_its_answers():
    (path,) = (SCHEMAS / "2" / "opinions").iterdir()
    found = sections(governance(path))
    assert found["Who labeled"] == [
        "Ann: 3 answers",
        "Bob: 1 answer",
        "corrected: 1",
        "withdrawn: 1",
        "cost of all labels: 5",
    ]
    assert found["What was chosen, and why"] == ["1 ask, 2 rows asked for"]
    assert "query, as it ran: bal.remembered, bal.score, bal.epistemic_variance, bal.best" in found["Method"]
    assert "a chain over the events, which schema 3 has" in found["What is not recorded"]
    assert found["What it took"] == ["nothing on record"]


def test_what_nobody_wrote_down_is_named(tmp_path):
    _, found = page_of(tmp_path, [{"kind": "note"}], {})
    lacks = found["What is not recorded"]
    assert {"who gave the labels", "digests of the data as they were used", "any measurement of the model"} <= set(
        lacks
    )
    assert sum("license and consent" in line for line in lacks) == 1


def test_a_changed_record_has_no_page(tmp_path):
    record, _ = page_of(tmp_path, [make_round(0)])
    log = record.path / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"labels":[', b'"labels":[ '))
    with pytest.raises(CorruptRecordError):
        governance(record.path)


@pytest.mark.parametrize(
    "path", [*(SCHEMAS / "1").glob("*/*"), *(SCHEMAS / "2").glob("*/*")], ids=lambda path: path.parent.name
)
def test_every_schema_has_a_page(path):
    page = governance(path)
    assert set(sections(page)) == set(SUPPORTS)
    assert "compliant" not in page.lower()


def test_the_page_of_the_docs_has_the_same_table():
    text = (ROOT / "docs" / "governance.md").read_text()
    rows = re.findall(r"^\| (?!section|-)([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    listed = lambda parts: re.sub(r"ISO/IEC ", "", "; ".join(parts))
    table = {title: (nist.replace(", ", "; "), iso) for title, nist, iso in rows}
    for title, parts in SUPPORTS.items():
        nist, iso = ([part for part in parts if part.startswith("ISO") == is_iso] for is_iso in (False, True))
        assert table[title] == (listed(nist), listed(iso))
    assert set(table) == set(SUPPORTS)
    for subcategory in {part.split(" ", 1)[1] for parts in SUPPORTS.values() for part in parts if "ISO" not in part}:
        assert re.search(rf"\b{re.escape(subcategory)}\s[a-z]", text), f"{subcategory} is explained"
