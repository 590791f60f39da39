"""Identity and events of one record: what is taken, what is refused, what reads back."""

import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from record_cases import CONFIG, make_round

from bal.records import acquired, identity, open_record, read_events


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_import_and_reading_need_no_jax(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0)])
    code = (
        "import sys; from bal.records import table; assert len(table(sys.argv[1])['seed']) == 1; "
        "loaded = {name.split('.')[0] for name in sys.modules}; "
        "print(sorted(loaded & {'jax', 'jaxlib', 'jaxtyping', 'flax', 'scipy'}))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, env=environment).stdout == "[]\n"


def test_identity_is_of_values_not_of_key_order(tmp_path):
    turned = {"learner": {"rate": 0.1, "members": 5}, "batch_size": 3, "acquisition": "bald"}
    assert list(turned) != list(CONFIG)
    assert identity(turned, "d") == identity(CONFIG, "d")
    assert identity({"sizes": (1, 2)}) == identity({"sizes": np.array([1, 2])})
    others = [identity(CONFIG), identity(CONFIG, "e"), identity(CONFIG | {"batch_size": 4}, "d")]
    others += [identity(CONFIG | {"batch_size": 3.0}, "d"), identity(CONFIG, "d")]
    assert len(set(others)) == len(others)
    with open_record(tmp_path, "run", CONFIG, "d") as record:
        record.append([make_round(0)])
    with open_record(tmp_path, "run", turned, "d") as again:
        assert again.path == record.path == tmp_path / "run" / identity(CONFIG, "d")[:12]
        assert again.events == record.events


def test_config_is_written_once_and_readable(tmp_path):
    for _ in range(2):
        with open_record(tmp_path, "run", CONFIG, "d") as record:
            file = record.path / "config.json"
            assert json.loads(file.read_text()) == {"config": CONFIG, "fingerprint": "d", "schema": 3}
            inode = file.stat().st_ino
    assert file.stat().st_ino == inode


def test_each_environment_is_noted_once(tmp_path, monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    for nproc in (None, None, "1"):
        if nproc:
            monkeypatch.setenv("NPROC", nproc)
        with open_record(tmp_path, "run", {}) as record:
            record.append([{"kind": "note"}])
    first, second = json.loads((record.path / "env.json").read_text())["body"]
    assert "NPROC" not in first["variables"]
    assert second["variables"]["NPROC"] == "1"
    assert first["variables"]["JAX_ENABLE_X64"] == "1"
    assert first["packages"]["numpy"] == np.__version__
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))


FLOATS = [
    0.0,
    -0.0,
    0.1,
    1 / 3,
    5e-324,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
    1e22,
    123456789.125,
]


def test_floats_round_trip_bit_for_bit(tmp_path):
    single = np.random.default_rng(0).normal(size=100).astype(np.float32)
    with open_record(tmp_path, "run", {}) as record:
        record.append([{"kind": "note", "floats": FLOATS, "single": single, "scalar": np.float32(0.1)}])
    (event,), _ = read_events(record.path)
    assert [bits(a) for a in event["floats"]] == [bits(a) for a in FLOATS]
    assert np.array_equal(np.array(event["single"], np.float32), single)
    assert [type(value) for value in event["single"]] == [float] * 100
    assert event["single"] == [float(value) for value in single]
    assert bits(event["scalar"]) == bits(float(np.float32(0.1)))


def test_words_that_look_like_floats_stay_words(tmp_path):
    words = ["nan", "inf", "-inf", "NaN", "$float", "é\n\u2028", 'quote " and \\', ""]
    with open_record(tmp_path, "run", {}) as record:
        record.append(
            [{"kind": "note", "words": words, "array": np.array(words), "none": None, "flag": np.bool_(True)}]
        )
        live = record.events
    with open_record(tmp_path, "run", {}) as record:
        assert record.events == live
        assert record.events[0]["words"] == record.events[0]["array"] == words
        assert record.events[0]["flag"] is True


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, {2}]}, r"events\[0\]\.x\.a\[1\]: expected .* got set"),
        (1j, r"events\[0\]\.x: expected .* got complex"),
        (np.array([1j]), r"events\[0\]\.x: .* dtype complex128"),
        (np.array([0.1], np.longdouble), r"events\[0\]\.x: .* up to 64 bits"),
        (np.array([object()]), r"events\[0\]\.x: .* dtype object"),
        (np.array(["2020-01-01"], "datetime64[D]"), r"events\[0\]\.x: .* dtype datetime64"),
        (Path("a"), r"events\[0\]\.x: .* got (Posix|Windows)Path"),
        (b"bytes", r"events\[0\]\.x: .* got bytes"),
        ({1: 2}, r"events\[0\]\.x: expected text .* got 1"),
        ({"$float": "nan"}, r"events\[0\]\.x: expected text other than '\$float'"),
    ],
)
def test_values_that_json_cannot_hold_are_refused_by_path(tmp_path, value, where):
    with open_record(tmp_path, "run", {}) as record:
        with pytest.raises(TypeError, match=where):
            record.append([{"kind": "note", "x": value}])
        assert record.events == []
    with pytest.raises(TypeError, match=where.replace(r"events\[0\]", r"record\.config")):
        open_record(tmp_path, "run", {"x": value})


@pytest.mark.parametrize("events", [["text"], {"kind": "note"}, [{"text": "no kind"}], [{"kind": 3}]])
def test_what_is_no_event_is_refused(tmp_path, events):
    with open_record(tmp_path, "run", {}) as record, pytest.raises(TypeError, match=r"list of dicts|Sequence"):
        record.append(events)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"round": 2}, ValueError, r"round 2 of seed 0 came too early; the next one must be round 1"),
        ({"round": 0}, ValueError, r"round 0 of seed 0 is already in the record"),
        ({"round": -1}, TypeError, r"\.round: expected an integer >= 0, below 2\^63, got -1"),
        ({"round": True}, TypeError, r"\.round: expected an integer >= 0, below 2\^63, got True"),
        ({"acquired": [3, 1, 5]}, ValueError, r"pool id 1 is acquired twice by seed 0"),
        ({"acquired": [3, 4, 3]}, ValueError, r"pool id 3 is acquired twice by seed 0"),
        ({"acquired": [3, 4, -5]}, TypeError, r"\.acquired: expected a list of pool ids"),
        ({"acquired": [3.0, 4, 5]}, TypeError, r"\.acquired: expected a list of pool ids"),
        ({"scores": [0.1, 0.2]}, ValueError, r"one entry a pick in each list"),
        ({"labels": [1]}, ValueError, r"one entry a pick in each list"),
        ({"valid": [1, 1, 0]}, TypeError, r"\.valid: expected a list of booleans"),
        ({"metrics": {"accuracy": "0.9"}}, TypeError, r"\.metrics: expected a dict from names to numbers"),
        (
            {"counts": {"acquired": 1}},
            TypeError,
            r"\.counts: expected .* acquired, training, start, validation",
        ),
        ({"seconds": "1"}, TypeError, r"\.seconds: expected a number .*or None"),
        ({"info": [1]}, TypeError, r"\.info: expected a dict"),
        ({"accuracy": 0.9}, ValueError, r"no key accuracy; put what is extra under 'info'"),
    ],
)
def test_rounds_that_may_not_follow_are_refused(tmp_path, changes, error, message):
    with open_record(tmp_path, "run", {}) as record:
        record.append([make_round(0)])
        with pytest.raises(error, match=message):
            record.append([{"kind": "note"}, make_round(1, **changes)])
        assert record.events == [make_round(0)]
        record.append([make_round(1), make_round(2)])
        assert len(record.rounds()) == 3


def test_missing_keys_are_named(tmp_path):
    event = make_round(0)
    del event["scores"], event["seconds"]
    with (
        open_record(tmp_path, "run", {}) as record,
        pytest.raises(ValueError, match="scores, seconds missing"),
    ):
        record.append([event])


def test_order_is_checked_within_one_append_and_after_reopening(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        with pytest.raises(ValueError, match="pool id 0 is acquired twice"):
            record.append([make_round(0), make_round(1, acquired=[9, 8, 0])])
        with pytest.raises(ValueError, match="already in the record"):
            record.append([make_round(0), make_round(0)])
        record.append([make_round(0)])
    with open_record(tmp_path, "run", {}) as record:
        with pytest.raises(ValueError, match="pool id 0 is acquired twice"):
            record.append([make_round(1, acquired=[9, 8, 0])])
        record.append([make_round(1, acquired=[9, 8, 0], valid=[True, True, False])])
        for row in (0, 9):
            with pytest.raises(ValueError, match=f"pool id {row} is acquired twice"):
                record.append([make_round(2, acquired=[20, 21, row])])
        assert list(acquired(record.path)[0]) == [0, 1, 2, 9, 8]


def test_seeds_are_counted_apart(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        record.append([make_round(0), make_round(0, seed=7), {"kind": "note", "seed": 7}, make_round(1, seed=7)])
        assert [event["round"] for event in record.rounds()] == [0]
        assert record.rounds(seed=7) == [make_round(0, seed=7), make_round(1, seed=7)]
    assert {seed: ids.tolist() for seed, ids in acquired(record.path).items()} == {
        0: [0, 1, 2],
        7: list(range(6)),
    }


def test_numpy_rounds_are_taken(tmp_path):
    event = make_round(0)
    for key in ("acquired", "scores", "valid", "labels"):
        event[key] = np.array(event[key])
    with open_record(tmp_path, "run", {}) as record:
        record.append([event | {"seed": np.int32(0), "metrics": {"a": np.float32(0.5)}}])
        assert record.rounds() == [make_round(0, metrics={"a": 0.5})]
