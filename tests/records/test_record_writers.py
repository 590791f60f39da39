"""Whose a record is: other code is named, nothing is run to find out, runs start over and grow."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from record_cases import CONFIG, make_round

import bal.records
from bal.records import CorruptRecordError, RecordLockedError, files, open_record, table
from bal.records.encoding import seal, unseal
from bal.records.environment import environment
from bal.records.source import fingerprint
from bal.records.writers import changes, written_by

NOW = environment()
OTHER = NOW | {"source": "0" * 64, "git": {"commit": "1306246" + "0" * 33, "dirty": False}}


def leave(root, environments, finish=False):
    """A record whose rounds were written under the given environments, one round each."""
    for number, entry in enumerate(environments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = open_record(root, "run", CONFIG)
        with record:
            record._now = entry
            record.append([make_round(number)])
            if number == 0:  # what the first entry says is what created it
                writers = record._writers[-1:]
                writers[0] = entry | {"first_event": 0}
                files.replace(record.path / "env.json", seal(writers))
            if finish and number == len(environments) - 1:
                record.finish({})
    return record.path


def test_going_on_with_other_code_is_said_in_one_line_with_both(tmp_path):
    leave(tmp_path, [OTHER])
    with pytest.warns(UserWarning, match="recorded by") as caught:
        record = open_record(tmp_path, "run", CONFIG)
    record.close()
    (line,) = [str(warning.message) for warning in caught]
    assert "\n" not in line
    assert f"recorded by bal {NOW['packages']['bal']} at 1306246; going on with bal" in line
    assert "different: source; " in line
    assert "--fresh" in line
    assert record.changes == ["source"]


def test_the_same_code_says_nothing(tmp_path):
    leave(tmp_path, [NOW])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = open_record(tmp_path, "run", CONFIG)
    with record:
        assert record.changes == []
        record.finish({})
    assert open_record(tmp_path, "run", CONFIG).changes == []
    assert record.written_by == written_by([NOW])


def test_a_finished_record_says_who_wrote_it_without_a_warning(tmp_path):
    leave(tmp_path, [OTHER, NOW], finish=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = open_record(tmp_path, "run", CONFIG)
    assert record.done
    assert record.changes == ["source"], "one of its two rounds is of other code"
    assert record.written_by.startswith(f"bal {NOW['packages']['bal']} at 1306246; then bal ")


def test_each_writer_is_noted_with_the_events_before_it_and_those_without_events_are_dropped(tmp_path):
    path = leave(tmp_path, [OTHER])
    for entry in (NOW, OTHER, OTHER, NOW):
        with pytest.warns(UserWarning, match="recorded by"):
            record = open_record(tmp_path, "run", CONFIG)
        with record:
            record._now = entry
            record.save_state(0, {})
    entries = unseal((path / "env.json").read_bytes(), "env.json")
    assert [(entry["first_event"], entry["source"]) for entry in entries] == [(0, "0" * 64), (1, NOW["source"])]


def test_writers_of_before_sources_were_kept_are_told_by_a_clean_commit():
    clean = {"commit": "a" * 40, "dirty": False}
    old = {key: value for key, value in NOW.items() if key not in ("source", "script")}
    assert changes([old | {"git": clean}], NOW | {"git": clean}) == []
    assert changes([old | {"git": clean | {"dirty": True}}], NOW | {"git": clean}) == ["source"]
    assert changes([old | {"git": None}], NOW | {"git": None}) == ["source"]


def test_versions_scripts_and_variables_are_compared():
    other = NOW | {"python": "3.0", "script": {"name": "a.py", "sha256": "0"}, "variables": {"JAX_ENABLE_X64": "1"}}
    other["packages"] = NOW["packages"] | {"jax": "0.1"}
    expected = ["script", "python", "packages.jax"]
    expected += [f"variables.{name}" for name in sorted({"JAX_ENABLE_X64", *NOW["variables"]})]
    assert changes([other], NOW) == expected
    assert changes([NOW | {"git": OTHER["git"]}], NOW) == [], "a commit that leaves the source as it is"


def test_only_variables_that_change_bits_are_kept_and_no_paths(monkeypatch):
    secret = {
        "JAX_COMPILATION_CACHE_DIR": "/home/alice/cache",
        "JAX_COORDINATOR_ADDRESS": "node7.internal:1234",
        "JAX_SECRET_TOKEN": "token",
        "XLA_FLAGS": "--xla_dump_to=/home/alice/d --xla_cpu_enable_fast_math=true --xla_dump_hlo_pass_re=out /home/x",
        "NPROC": "1",
    }
    for name, value in secret.items():
        monkeypatch.setenv(name, value)
    kept = environment()["variables"]
    assert kept["NPROC"] == "1"
    assert kept["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=true"
    assert not any(word in json.dumps(environment()) for word in ("alice", "node7", "token", "dump"))


def test_the_fingerprint_is_of_names_and_contents_and_of_what_was_imported(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1\n")
    two.write_text("a = 2\n")
    before = fingerprint({"a.py": one, "b.py": two})
    assert before == fingerprint({"b.py": two, "a.py": one})
    assert len({before, fingerprint({"a.py": two, "b.py": one}), fingerprint({"a.py": one})}) == 3
    two.write_text("a = 3\n")
    copy = tmp_path / "three.py"
    copy.write_text("a = 3\n")
    edited = fingerprint({"a.py": one, "b.py": two})
    assert edited not in (before, fingerprint({"a.py": one, "b.py": copy})), "nobody knows which of the two runs"
    two.write_text("a = 2\n")
    assert fingerprint({"a.py": one, "b.py": two}) == before


SCRIPT = """
import helper
from bal.records import open_record
with open_record("runs", "run", {}) as record:
    print(record.changes)
    if not record.done:
        record.append([{"kind": "note"}])
        record.finish({})
"""


@pytest.fixture
def study(tmp_path):
    """A copy of the package in a checkout of its own, and a script beside it that imports a module of its folder."""
    package = tmp_path / "code" / "bal" / "records"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text('"""."""\n')
    records = Path(bal.records.__file__).parent
    beside = (records.parent / name for name in ("libraries.py", "markup.py"))
    for file in [*records.glob("*.py"), *beside]:
        (package.parent.parent / file.relative_to(records.parent.parent)).write_bytes(file.read_bytes())
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    for command in (["init", "-q"], ["add", "bal"], ["commit", "-qm", "all"]):
        git(tmp_path / "code", *command)
    return tmp_path


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def run_script(folder):
    command = [sys.executable, "-P", str(folder / "script.py")]
    variables = os.environ | {"PYTHONPATH": f"{folder / 'code'}:{folder}"}
    variables["PYTHONDONTWRITEBYTECODE"] = "1"  # a module may change twice a second
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def read_environment(folder):
    (file,) = folder.glob("runs/run/*/env.json")
    return unseal(file.read_bytes(), "env.json")[-1]


def test_edits_of_the_package_the_script_and_its_modules_are_seen(study):
    assert run_script(study) == "[]"
    written = read_environment(study)
    assert written["git"] == {"commit": git(study / "code", "rev-parse", "HEAD"), "dirty": False}
    assert written["script"]["name"] == "script.py"
    (study / "helper.py").write_text("VALUE = 2\n")
    assert run_script(study) == "['script']"
    (study / "code" / "bal" / "__init__.py").write_text('"""Other."""\n')
    assert run_script(study) == "['source', 'script']"


def test_git_is_asked_of_the_package_and_runs_nothing(study):
    """Programs named by the configuration of the package's repository and of the one the user stands in stay off."""
    proof = study / "proof"
    trap = study / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {proof}\n")
    trap.chmod(0o755)
    git(study, "init", "-q")
    for folder in (study, study / "code"):
        for name in ("core.fsmonitor", "filter.x.clean", "filter.x.process", "core.pager", "core.hooksPath"):
            git(folder, "config", name, str(trap))
        (folder / ".gitattributes").write_text("* filter=x\n")
    (study / "code" / "bal" / "__init__.py").write_text('"""Other."""\n')
    run_script(study)
    assert not proof.exists()
    assert read_environment(study)["git"]["dirty"] is True
    subprocess.run(["git", "status"], cwd=study / "code", capture_output=True)
    assert proof.exists(), "the traps work"


def test_a_package_that_no_checkout_tracks_has_no_commit(study):
    (study / "code" / ".git").rename(study / "code" / "no-git")
    git(study, "init", "-q")
    git(study, "add", "helper.py")
    git(study, "commit", "-qm", "a project that has nothing to do with it")
    run_script(study)
    assert read_environment(study)["git"] is None


def test_fresh_starts_over_and_keeps_the_old_folder_out_of_sight(tmp_path):
    old = []
    for number in range(3):
        with open_record(tmp_path, "run", CONFIG, fresh=True) as record:
            assert record.events == []
            record.append([make_round(0, metrics={"accuracy": float(number)})])
            record.save_state(0, {})
            if number:
                record.finish({})
        old.append((record.path / "events.jsonl").read_bytes())
    folder = record.path.parent / ".replaced"
    assert [(folder / f"{record.path.name}.{n}" / "events.jsonl").read_bytes() for n in range(2)] == old[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table(tmp_path)["metrics.accuracy"].tolist() == [2.0]
        assert len(table(tmp_path / "run")["round"]) == 0, "nor from one folder further down"


def test_fresh_leaves_a_damaged_record_behind_and_a_locked_one_alone(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0)])
        with pytest.raises(RecordLockedError):
            open_record(tmp_path, "run", CONFIG, fresh=True)
        record.append([make_round(1)])
    (record.path / "events.jsonl").write_bytes(b"damage\n")
    with pytest.raises(CorruptRecordError):
        open_record(tmp_path, "run", CONFIG)
    with open_record(tmp_path, "run", CONFIG, fresh=True) as record:
        assert record.events == []
        with pytest.raises(RecordLockedError):
            open_record(tmp_path, "run", CONFIG)
    assert (record.path.parent / ".replaced" / f"{record.path.name}.0" / "events.jsonl").read_bytes() == b"damage\n"


def test_the_lock_of_this_process_is_told_from_another_ones(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        with pytest.raises(RecordLockedError, match="open in this very process"):
            open_record(tmp_path, "run", CONFIG)
        code = "import sys; from bal.records import *\ntry: open_record(sys.argv[1], 'run', {'a': 1})\n"
        code += "except RecordLockedError as error: print(error)"
        with open_record(tmp_path, "run", {"a": 1}) as record:
            done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.startswith(f"{record.path} is being written by another process")
