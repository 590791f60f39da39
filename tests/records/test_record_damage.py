"""Damage that no kill leaves, and files that no record wrote: refused as what they are."""

import hashlib
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from record_cases import CONFIG, as_log, make_round

from bal.records import CorruptRecordError, acquired, open_record, read_events, table
from bal.records.encoding import seal
from bal.records.state import pack, unpack


@pytest.fixture
def run(tmp_path):
    """An unfinished record of three rounds, whose arrays were saved behind the second."""
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0)])
        record.append([make_round(1)])
        record.save_state(1, {"w": np.arange(3.0)})
        record.append([make_round(2)])
    return record.path


def test_a_damaged_last_line_is_damage_and_not_a_torn_tail(run, tmp_path):
    """A kill never leaves a whole line that is wrong: the newline is the last byte written."""
    log = run / "events.jsonl"
    data = log.read_bytes()
    last = data[:-1].rfind(b"\n") + 1
    for position in range(last, len(data) - 1, 9):
        changed = bytearray(data)
        changed[position] ^= 1
        if changed[position] == ord("\n"):
            continue
        log.write_bytes(changed)
        with pytest.raises(CorruptRecordError, match=f"damaged at byte {last}, before 0 intact"):
            open_record(tmp_path, "run", CONFIG)
        assert log.read_bytes() == changed
    assert read_events(run)[1] == (last, len(data) - last, 0, 1)
    with pytest.warns(UserWarning, match="left out of the table: .* damaged"):
        assert len(table(tmp_path)["round"]) == 0


def test_a_log_that_lost_what_was_there_when_the_arrays_were_saved_is_refused(run, tmp_path):
    log = run / "events.jsonl"
    lines = log.read_bytes().splitlines(True)
    for kept in ([], lines[:1], [lines[0], lines[1][:-5]]):  # cut between lines, or an older log put back
        log.write_bytes(b"".join(kept))
        with pytest.raises(CorruptRecordError, match=r"once had .* when state\.npz was saved; restore .* or delete"):
            open_record(tmp_path, "run", CONFIG)
        assert log.read_bytes() == b"".join(kept)
    log.write_bytes(as_log(run, [make_round(number, labels=[7, 7, 7]) for number in range(3)]))
    with pytest.raises(CorruptRecordError, match="differs in the first"):
        open_record(tmp_path, "run", CONFIG)
    log.write_bytes(b"".join(lines[:2]))  # a kill before the third round
    with open_record(tmp_path, "run", CONFIG) as record:
        assert len(record.events) == 2


def test_arrays_that_are_gone_are_missed(run, tmp_path):
    (run / "state.npz").unlink()
    with pytest.warns(UserWarning, match=r"state\.npz is gone: going on from the log alone"):
        record = open_record(tmp_path, "run", CONFIG)
    record.close()
    assert record.load_state() is None


def test_a_log_that_is_not_what_was_written_is_not_sealed(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0), make_round(1)])
        log = record.path / "events.jsonl"
        data = bytearray(log.read_bytes())
        data[-20] ^= 1
        log.write_bytes(data)
        with pytest.raises(CorruptRecordError, match="changed under its writer"):
            record.finish({})
        assert not (record.path / "done.json").exists()


def test_a_seal_over_a_damaged_log_is_refused(run, tmp_path):
    data = bytearray((run / "events.jsonl").read_bytes())
    data[-20] ^= 1
    (run / "events.jsonl").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (run / "done.json").write_bytes(seal({"log_sha256": digest, "summary": {}}))
    for read in (lambda: open_record(tmp_path, "run", CONFIG), lambda: acquired(run)):
        with pytest.raises(CorruptRecordError, match=r"events\.jsonl"):
            read()


@pytest.mark.parametrize("body", [[], {"log_sha256": "0"}, {"log_sha256": "0", "summary": 3}, {"summary": {}}])
def test_a_seal_of_nothing_is_refused(run, tmp_path, body):
    (run / "done.json").write_bytes(seal(body))
    with pytest.raises(CorruptRecordError, match=r"done\.json is no seal"):
        open_record(tmp_path, "run", CONFIG)


def test_a_record_without_its_configuration_is_damaged(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0)])
        record.finish({})
    (record.path / "config.json").unlink()
    for read in (lambda: open_record(tmp_path, "run", CONFIG), lambda: acquired(record.path)):
        with pytest.raises(CorruptRecordError, match=r"config\.json is gone"):
            read()
    with pytest.warns(UserWarning, match=r"left out of the table: .*config\.json is gone"):
        table(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no record"):
        acquired(tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"not json", b"[]", b'{"a":1}', b'{"config":3,"fingerprint":"","schema":1}', b'{"schema": 1}', b'{"schema":4}'],
)
def test_a_configuration_that_no_record_wrote_is_refused_behind_the_right_name(tmp_path, data):
    folder = tmp_path / "run" / hashlib.sha256(data).hexdigest()[:12]
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(data)
    (folder / "events.jsonl").touch()
    with pytest.raises(CorruptRecordError, match=r"restore|newer"):
        acquired(folder)


HUGE = 10**400


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"accuracy": HUGE}},
        {"acquired": [10**30, 1, 2]},
        {"acquired": [2**63, 1, 2]},
        {"scores": [HUGE, 0.5, 0.5]},
        {"seconds": HUGE},
        {"counts": {"acquired": 0, "training": 10**30, "start": 3, "validation": 0}},
    ],
)
def test_numbers_that_no_column_holds_are_refused_when_written_and_when_read(tmp_path, changes):
    with open_record(tmp_path, "good", CONFIG) as record:
        record.append([make_round(0)])
    with open_record(tmp_path, "bad", CONFIG) as record:
        with pytest.raises(TypeError, match=r"2\^63|64 bits"):
            record.append([make_round(0, **changes)])
        assert record.events == []
    (record.path / "events.jsonl").write_bytes(as_log(record.path, [make_round(0, **changes)]))
    with pytest.raises(CorruptRecordError, match="do not follow"):
        acquired(record.path)
    with pytest.warns(UserWarning, match=f"left out of the table: {record.path}"):
        assert table(tmp_path)["name"].tolist() == ["good"]


def test_bounds_themselves_are_taken(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0, acquired=[2**63 - 1, 0, 1], metrics={"a": -(2**63), "b": 2**63 - 1})])
    assert acquired(record.path)[0][0] == 2**63 - 1
    assert table(tmp_path)["metrics.a"][0] == -(2.0**63)


def test_integers_that_python_does_not_write_are_refused_by_path(tmp_path):
    with pytest.raises(TypeError, match=r"record\.config\.a: .* 3,900 digits"):
        open_record(tmp_path, "run", {"a": 10**5000})
    with open_record(tmp_path, "run", {"a": 10**3899}) as record:
        record.append([make_round(0)])
    assert table(tmp_path)["config.a"][0] == str(10**3899)


def signed(body):
    """A state file with the right checksum, from a zip without a comment."""
    body = body[:-2] + (64).to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode()


def zipped(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return signed(buffer.getvalue())


def npy(array, pickled=False):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=pickled)
    return buffer.getvalue()


ROUND = npy(np.int64(0))
LYING = npy(np.zeros(3)).replace(b"(3,), }" + b" " * 14, b"(9999999999999,), }  ")
FORGED = {
    "pickled": zipped({"round.npy": ROUND, "array/w.npy": npy(np.array([{}], object), pickled=True)}),
    "lying shape": zipped({"round.npy": ROUND, "array/w.npy": LYING}),
    "bomb": zipped({"round.npy": ROUND, "array/w.npy": npy(np.zeros(10**6))}, zipfile.ZIP_DEFLATED),
    "no round": zipped({"array/w.npy": npy(np.zeros(3))}),
    "round of text": zipped({"round.npy": npy(np.array("a"))}),
    "no arrays": zipped({"round.npy": b"text"}),
    "no zip": signed(b"text" * 100),
    "nothing": signed(b""),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_arrays_behind_the_right_checksum_are_refused(run, tmp_path, name):
    assert b"9999999999999" in LYING
    (run / "state.npz").write_bytes(FORGED[name])
    with pytest.raises(CorruptRecordError, match=r"state\.npz holds what no record has written .*delete"):
        open_record(tmp_path, "run", CONFIG)


def test_entries_that_share_their_bytes_are_refused():
    """A directory that lists one entry a thousand times makes a small file large."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("round.npy", ROUND)
        archive.writestr("array/w.npy", npy(np.zeros(1000)))
        again = archive.infolist()[-1]
        archive.filelist.extend([again] * 1000)
    with pytest.raises(CorruptRecordError, match="larger than the file"):
        unpack(signed(body.getvalue()), "state.npz")


def test_arrays_of_every_kind_read_back(tmp_path):
    arrays = {
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "empty": np.zeros((0, 3)),
        "text": np.array(["é", "abc"]),
        "time": np.array(["2020-01-01"], "datetime64[D]"),
        "nothing": np.float64(math_nan := float("nan")),
    }
    assert math_nan != math_nan
    saved = unpack(pack(3, arrays, 17, "ab"), "state.npz")
    assert (saved.round, saved.log_size, saved.log_sha256) == (3, 17, "ab")
    assert list(saved.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(saved.arrays[name], array, strict=True)


def test_environments_that_no_record_wrote_are_refused(run, tmp_path):
    for body in ({}, [1], "text"):
        (run / "env.json").write_bytes(seal(body))
        with pytest.raises(CorruptRecordError, match="no list of environments"):
            open_record(tmp_path, "run", CONFIG)
    deep = b'{"body":' + b"[" * 400 + b"]" * 400 + b',"sha256":""}'
    (run / "env.json").write_bytes(deep)
    with pytest.raises(CorruptRecordError):
        open_record(tmp_path, "run", CONFIG)


def test_a_record_copied_into_another_run_is_not_taken_for_it(run, tmp_path):
    with open_record(tmp_path, "run", CONFIG | {"batch_size": 4}) as other:
        pass
    shutil.copy(run / "config.json", other.path / "config.json")
    assert json.loads((other.path / "config.json").read_text())["config"] == CONFIG
    with pytest.raises(CorruptRecordError, match="not that of its folder"):
        open_record(tmp_path, "run", CONFIG | {"batch_size": 4})
