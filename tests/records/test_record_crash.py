"""Kills, cuts, flipped bits, full disks, second writers: nothing is lost, nothing wrong is believed."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import record_cases
from record_cases import CONFIG, as_log, continue_run, make_round

from bal.records import CorruptRecordError, RecordLockedError, acquired, open_record, read_events, table
from bal.records.log import parse


def start_writers(root: Path) -> subprocess.Popen:
    command = [sys.executable, record_cases.__file__, str(root)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
    )


def kill_one_writer(writers: subprocess.Popen, delay: float) -> int:
    """Start a writer, kill it `delay` seconds after its first round; the last round it said was on disk."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("go\n")
    process, last = map(int, writers.stdout.readline().split())
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    while (line := writers.stdout.readline().split())[0] != "ended":
        last = int(line[1])
    assert line[1] == "-9"
    return last


@pytest.mark.parametrize("kills", [7, pytest.param(20, marks=pytest.mark.slow)])
def test_kills_lose_no_finished_round(kills, tmp_path):
    draw = random.Random(0)
    events = []
    with start_writers(tmp_path / "killed") as writers:
        for _ in range(kills):
            last = kill_one_writer(writers, draw.uniform(0, 0.03))
            path = next((tmp_path / "killed" / "digits").iterdir())
            earlier, (events, _) = len(events), read_events(path)
            assert max(last, earlier) < len(events) <= last + 2
            assert events == [make_round(number) for number in range(len(events))]
    num_rounds = len(events) + 3
    with warnings.catch_warnings(record=True):
        killed = continue_run(str(tmp_path / "killed"), num_rounds).path
    with open_record(tmp_path / "whole", "digits", CONFIG, "data") as whole:
        whole.append([make_round(number) for number in range(num_rounds)])
    assert (killed / "events.jsonl").read_bytes() == (whole.path / "events.jsonl").read_bytes()


@pytest.fixture
def small(tmp_path):
    """A log of three rounds, its bytes, and the length of each prefix of whole lines."""
    with open_record(tmp_path, "small", CONFIG) as record:
        record.append([{"kind": "note", "text": "start"}])
        record.append([make_round(0), make_round(1)])
    data = (record.path / "events.jsonl").read_bytes()
    ends = [0] + [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    return record, data, ends


def test_cut_at_every_byte_leaves_the_longest_valid_prefix(small):
    record, data, ends = small
    for length in range(len(data) + 1):
        lines, report = parse(data[:length])
        events = [line.event for line in lines]
        whole = sum(end <= length for end in ends) - 1
        assert events == record.events[:whole]
        assert report == (ends[whole], length - ends[whole], 0, 0)


def test_reopening_after_a_cut_keeps_the_cut_bytes_and_continues(small, tmp_path):
    record, data, ends = small
    log = record.path / "events.jsonl"
    for length in (ends[1], ends[1] + 1, ends[2] - 1, ends[2] + 40, ends[3] - 1):
        log.write_bytes(data[:length])
        (record.path / "events.torn").unlink(missing_ok=True)
        whole = sum(end <= length for end in ends) - 1
        torn = data[ends[whole] : length]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            again = open_record(tmp_path, "small", CONFIG)
        assert [f"{len(torn)} bytes" in str(warning.message) for warning in caught] == [True] * bool(torn)
        assert (record.path / "events.torn").exists() == bool(torn)
        assert not torn or (record.path / "events.torn").read_bytes() == torn
        with again:
            again.append(record.events[whole:])
        assert log.read_bytes() == data


def test_no_flipped_bit_of_a_log_goes_unnoticed(small):
    record, data, _ = small
    undetected = 0
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            lines, report = parse(bytes(changed))
            events = [line.event for line in lines]
            assert events == record.events[: len(events)]
            undetected += report.dropped_bytes == 0 or len(events) == len(record.events)
    assert undetected == 0


@pytest.mark.parametrize("name", ["config.json", "done.json", "state.npz", "env.json", "events.jsonl"])
def test_no_flipped_bit_of_a_finished_record_goes_unnoticed(tmp_path, name):
    with open_record(tmp_path, "run", {"rate": 0.1}) as record:
        record.append([make_round(0)])
        record.save_state(0, {"w": np.arange(3.0)})
        if name != "env.json":  # the one file that only a continuation reads
            record.finish({"accuracy": 0.9})
    file = record.path / name
    data = file.read_bytes()
    for position in range(0, len(data), 1 + len(data) // 500):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        file.write_bytes(changed)
        with pytest.raises(CorruptRecordError, match=r"restore|delete"):
            open_record(tmp_path, "run", {"rate": 0.1}).load_state()
    file.write_bytes(data)
    state = open_record(tmp_path, "run", {"rate": 0.1}).load_state()
    assert state is not None
    assert state[0] == 0


def test_damage_in_the_middle_is_an_error_and_cuts_nothing(small, tmp_path):
    record, data, ends = small
    damaged = data[: ends[1] + 5] + b"?" + data[ends[1] + 6 :]
    (record.path / "events.jsonl").write_bytes(damaged)
    events, report = read_events(record.path)
    assert events == record.events[:1]
    assert report == (ends[1], len(data) - ends[1], 1, 1)
    with pytest.raises(CorruptRecordError, match=f"damaged at byte {ends[1]}, before 1 intact"):
        open_record(tmp_path, "small", CONFIG)
    assert (record.path / "events.jsonl").read_bytes() == damaged


@pytest.mark.parametrize("body", [b'{"kind":"note","x":NaN}', b"[1]", b'{"kind":1}', b"[" * 100_000, b'{"x":1}'])
def test_intact_lines_that_no_writer_wrote_are_not_events(body):
    import zlib

    assert parse(b"%08x %s\n" % (zlib.crc32(body), body))[0] == []


def test_events_out_of_order_behind_right_checksums_are_corrupt(small, tmp_path):
    record, _, _ = small
    (record.path / "events.jsonl").write_bytes(as_log(record.path, [make_round(1)]))
    with pytest.raises(CorruptRecordError, match="next one must be round 0"):
        open_record(tmp_path, "small", CONFIG)
    with pytest.raises(CorruptRecordError, match="next one must be round 0"):
        acquired(record.path)


def test_a_log_that_is_gone_is_an_error(small, tmp_path):
    record, _, _ = small
    (record.path / "events.jsonl").unlink()
    with pytest.raises(CorruptRecordError, match="is gone"):
        open_record(tmp_path, "small", CONFIG)


def test_second_writer_is_refused_at_once_in_this_process_and_another(tmp_path):
    with open_record(tmp_path, "digits", CONFIG, "data") as record:
        start = time.perf_counter()
        with pytest.raises(RecordLockedError, match=str(record.path)):
            open_record(tmp_path, "digits", CONFIG, "data")
        assert time.perf_counter() - start < 5
        with start_writers(tmp_path) as writers:
            assert writers.communicate("go\n")[0] == "ended 1\n"
        record.append([make_round(0)])
    with open_record(tmp_path, "digits", CONFIG, "data") as record:
        assert record.events == [make_round(0)]


def test_a_writer_beside_the_lock_is_noticed(small, tmp_path):
    record, _, _ = small
    with open_record(tmp_path, "small", CONFIG) as again:
        with (record.path / "events.jsonl").open("ab") as file:
            file.write(b"intruder")
        with pytest.raises(CorruptRecordError, match="something else writes"):
            again.append([make_round(2)])


def test_full_disk_names_the_file_and_loses_nothing(small, tmp_path):
    record, data, _ = small
    again = open_record(tmp_path, "small", CONFIG)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # a limit in the middle of the next event: a part of it is written before the disk refuses
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) + 50, hard))
        with pytest.raises(OSError, match=r"events\.jsonl") as caught:
            again.append([make_round(2)])
        assert (record.path / "events.jsonl").read_bytes() == data
        with pytest.raises(OSError, match=str(record.path)):
            open_record(tmp_path, "small", CONFIG).save_state(1, {"w": np.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(record.path) in str(caught.value)
    assert (record.path / "events.jsonl").read_bytes() == data
    assert not list(record.path.glob("*.tmp")) + list(record.path.glob(".*.tmp"))
    with pytest.raises(RuntimeError, match="closed"):
        again.append([make_round(2)])
    with open_record(tmp_path, "small", CONFIG) as again:
        again.append([make_round(2)])
        assert len(again.events) == 4


def test_unwritable_root_names_the_path(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        open_record(tmp_path / "file", "run", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_read_only_folder_names_the_path_and_finished_records_open(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        record.finish({})
    for folder in (record.path, record.path.parent, tmp_path):
        folder.chmod(0o500)
    try:
        assert open_record(tmp_path, "run", {}).done
        with pytest.raises(PermissionError, match=str(tmp_path)):
            open_record(tmp_path, "other", {})
    finally:
        for folder in (tmp_path, record.path.parent, record.path):
            folder.chmod(0o700)


def test_table_reports_what_it_cannot_read(small, tmp_path):
    record, _, _ = small
    with open_record(tmp_path, "other", CONFIG) as other:
        other.append([make_round(0)])
    (record.path / "config.json").write_text("{}")
    with pytest.warns(UserWarning, match=f"left out of the table: {record.path}") as caught:
        assert list(table(tmp_path)["name"]) == ["other"]
    assert len(caught) == 1
    shutil.rmtree(record.path)
    (other.path / "events.jsonl").write_bytes(as_log(other.path, [make_round(0), make_round(1)])[:-1])
    with pytest.warns(UserWarning, match=f"{other.path}: passed over a torn tail") as caught:
        assert list(table(tmp_path)["round"]) == [0]
    assert len(caught) == 1
