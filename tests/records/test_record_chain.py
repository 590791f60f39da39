"""The chain over the events of a log: what was put right line by line, but is not what was written, is noticed."""

import hashlib
import json
import zlib

import numpy as np
import pytest
from record_cases import CONFIG, as_log, make_round

from bal.records import CorruptRecordError, acquired, chain, open_record, read_events, table


def mended(line, old, new):
    """A line in which something was changed, with the right checksum."""
    body = line[9:-1].replace(old, new)
    assert body != line[9:-1]
    return b"%08x %s\n" % (zlib.crc32(body), body)


@pytest.fixture
def run(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([{"kind": "open", "rows": "abc"}, make_round(0), make_round(1)])
        record.append([make_round(2)])
    return record


def test_the_log_is_the_chain(run):
    """Written out by hand, append by append or at once."""
    log = run.path / "events.jsonl"
    assert log.read_bytes() == as_log(run.path, run.events)
    last = log.read_bytes().splitlines()[-1].split(b" ")[1].decode()
    assert chain(run.path) == last
    assert read_events(run.path)[0] == run.events
    with open_record(run.path.parents[1], "run", CONFIG) as again:
        assert again.events == run.events
        again.append([{"kind": "note"}])
    body = json.dumps({"kind": "note"}, separators=(",", ":"))
    assert chain(run.path) == hashlib.sha256((last + body).encode()).hexdigest()


def test_equal_runs_have_equal_digests_and_others_other_ones(tmp_path):
    digests = []
    for number, (config, events) in enumerate([(CONFIG, [0, 1]), (CONFIG, [0, 1]), (CONFIG, [0]), ({}, [0, 1])]):
        with open_record(tmp_path / str(number), "run", config) as record:
            record.append([make_round(number) for number in events])
        digests.append(chain(record.path))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


FORGED = {
    "a label changed": (lambda lines: [*lines[:2], mended(lines[2], b'"labels":[', b'"labels":[1'), lines[3]], 2, 1),
    "the last score changed": (lambda lines: [*lines[:3], mended(lines[3], b'"scores":[0', b'"scores":[1')], 3, 2),
    "what was opened changed": (lambda lines: [mended(lines[0], b"abc", b"abd"), *lines[1:]], 0, None),
    "the opening dropped": (lambda lines: lines[1:], 0, 0),
    "a round dropped": (lambda lines: [*lines[:2], lines[3]], 2, 2),
    "two rounds swapped": (lambda lines: [*lines[:2], lines[3], lines[2]], 2, 2),
    "a round twice": (lambda lines: [*lines[:3], *lines[2:]], 3, 1),
    "a note added": (lambda lines: [*lines[:2], mended(lines[2], b'"round"', b'"note"'), *lines[2:]], 2, None),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_was_mended_line_by_line_is_noticed_and_named(run, tmp_path, name):
    forge, place, number = FORGED[name]
    log = run.path / "events.jsonl"
    log.write_bytes(b"".join(forge(log.read_bytes().splitlines(True))))
    assert read_events(run.path)[1].dropped_bytes == 0, "the checksums are right"
    what = "an event" if number is None else f"round {number} of seed 0"
    message = rf"does not hang together at event {place} \({what}, kind"
    for read in (acquired, chain, lambda path: open_record(tmp_path, "run", CONFIG)):
        with pytest.raises(CorruptRecordError, match=message):
            read(run.path)
    with pytest.warns(UserWarning, match="left out of the table: .* does not hang together"):
        assert len(table(tmp_path)["round"]) == 0


def test_lines_without_a_digest_or_of_another_record_do_not_belong(run, tmp_path):
    log = run.path / "events.jsonl"
    lines = log.read_bytes().splitlines(True)
    bare = lines[-1][9:-1].split(b" ", 1)[1]
    log.write_bytes(b"".join(lines[:-1]) + b"%08x %s\n" % (zlib.crc32(bare), bare))
    with pytest.raises(CorruptRecordError, match=r"at event 3 \(round 2 of seed 0"):
        acquired(run.path)
    with open_record(tmp_path, "run", CONFIG | {"batch_size": 4}) as other:
        other.append(run.events)
    log.write_bytes((other.path / "events.jsonl").read_bytes())
    with pytest.raises(CorruptRecordError, match="at event 0 "):
        acquired(run.path)


def test_an_append_that_failed_leaves_the_chain_as_it_was(run, tmp_path):
    with open_record(tmp_path, "run", CONFIG) as again:
        with pytest.raises(TypeError, match="expected None"):
            again.append([{"kind": "note"}, {"kind": "note", "x": {1}}])
        with pytest.raises(ValueError, match="already in the record"):
            again.append([make_round(2)])
        again.append([make_round(3, scores=np.zeros(3))])
    assert (run.path / "events.jsonl").read_bytes() == as_log(run.path, again.events)
