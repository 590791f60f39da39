"""Answers into files and back, strangers at the door, labels on record as an oracle, and the command."""

import csv
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from desks import LABELING, NAMES, TRUTH, label_some, opened
from PIL import Image
from problem import CENTERS, KEY, POOL, QUERY, Y

from bal.cli import main
from bal.cli.commands import Label
from bal.cli.labeling import labeling_of
from bal.datasets.unlabeled import opened as opened_picture
from bal.labeling import Item, Number, recorded_labels, recorded_oracle
from bal.labeling.exporting import as_csv, as_tasks
from bal.labeling.files import from_files
from bal.labeling.forms import Form
from bal.labeling.importing import read_answers
from bal.labeling.nouns import Entry
from bal.loop import run_eager
from bal.records import open_record
from bal.typing import Setup, Task

CLASSES = Form(NAMES, False, False, None, 40, ())
SOFT = Form(NAMES, False, True, None, 40, ())
SEVERAL = Form(NAMES, True, False, None, 40, ())
LENGTH = Form((), False, False, Number(0, 9, "cm"), 40, ())

SAID = [
    (CLASSES, ["red", "blue", None]),
    (SOFT, ["red", {"red": 0.25, "green": 0.0, "blue": 0.75}, None]),
    (SEVERAL, [("red", "blue"), (), None]),
    (LENGTH, [1.5, 9.0, None]),
]


@pytest.mark.parametrize("kind", [".csv", ".json"])
@pytest.mark.parametrize(("form", "said"), SAID)
def test_round_trip(tmp_path, kind, form, said):
    names = {row: f'name, "{row}" é' for row in range(40)}
    entries = [Entry(3 * row, "ada", answer, 0.5, 1.25, "first") for row, answer in enumerate(said)]
    entries += [entries[0]._replace(annotator="bob", seconds=None)]
    text = as_csv(entries, names) if kind == ".csv" else json.dumps(as_tasks(form, entries, names, {}))
    file = tmp_path / f"labels{kind}"
    file.write_text(text, encoding="utf-8")
    found = read_answers(file, form, names)
    want = sorted((entry.row, entry.annotator, entry.answer, entry.seconds) for entry in entries if entry.row < 6)
    as_tuple = lambda answer: tuple(answer) if isinstance(answer, list) else answer
    assert sorted((row, who, as_tuple(answer), seconds) for row, who, answer, seconds, _ in found if row < 6) == want
    assert [one.answer for one in found if one.row == 6] == [None]


# as documented in Label Studio's "Task format": annotations hold results; lead_time in seconds; was_cancelled = skipped
EXPORTED = [
    {
        "id": 1,
        "project": 83,
        "data": {"id": 5, "text": "To have faith is to trust yourself to the water"},
        "annotations": [
            {
                "id": 1001,
                "result": [
                    {
                        "from_name": "sentiment",
                        "id": "Dx_aB91ISN",
                        "to_name": "text",
                        "type": "choices",
                        "origin": "manual",
                        "value": {"choices": ["red"]},
                    }
                ],
                "was_cancelled": False,
                "ground_truth": False,
                "created_at": "2021-03-09T22:16:08.728353Z",
                "lead_time": 4.288,
                "task": 1,
                "completed_by": 10,
            },
            {"result": [], "was_cancelled": True, "completed_by": {"id": 3, "email": "a@b.c"}},
        ],
        "predictions": [{"model_version": "m", "score": 0.9, "result": [{"type": "choices"}]}],
    }
]


def test_what_label_studio_exports_is_read(tmp_path):
    file = tmp_path / "export.json"
    file.write_text(json.dumps(EXPORTED))
    assert read_answers(file, CLASSES, {}) == [
        (5, "user 10", "red", 4.288, False),
        (5, "a@b.c", None, None, False),
    ]


def test_what_is_written_is_what_label_studio_documents():
    entry = Entry(5, "ada", "red", 4.25, 0.0, "first")
    (task,) = as_tasks(CLASSES, [entry], {}, {5: (3, np.array([0.7, 0.2, 0.1]))})
    result = [{"from_name": "label", "to_name": "item", "type": "choices", "value": {"choices": ["red"]}}]
    assert task["data"] == {"id": 5, "row": 5}
    assert task["annotations"][0]["result"] == result
    assert task["annotations"][0]["lead_time"] == 4.25
    assert "completed_by" not in task["annotations"][0]  # a user that it does not know is refused
    assert task["predictions"] == [{"model_version": "fit 3", "score": 0.7, "result": result}]
    (number,) = as_tasks(LENGTH, [entry._replace(answer=2.5)], {}, {})
    assert number["annotations"][0]["result"][0]["value"] == {"number": 2.5}


def _task(**changes):
    return [{"data": {"id": 1}, "annotations": [{"result": EXPORTED[0]["annotations"][0]["result"]}]} | changes]


def _chosen(*names, kind="choices"):
    return [{"result": [{"type": kind, "value": {"choices": list(names)}}]}]


@pytest.mark.parametrize(
    ("name", "body", "match"),
    [
        ("a.json", "{", "a.json is no JSON"),
        ("a.json", "[" * 100_000, "a.json is no JSON"),
        ("a.json", "{}", "a list of tasks, got dict"),
        ("a.json", [3], "task 0: expected data with the id"),
        ("a.json", _task(data={"text": "x"}), "task 0: expected data with the id"),
        ("a.json", _task(data={"id": 40}), "task 0: id '40' names none of the 40 rows"),
        ("a.json", _task(data={"id": [1]}), "names none of"),
        ("a.json", _task(data={"row": -1}), "task 0: row -1 is none of"),
        ("a.json", _task(annotations=3), "list of annotations"),
        ("a.json", _task(annotations=[{"result": 3}]), "one result an annotation"),
        ("a.json", _task(annotations=_chosen("pink")), "task 0: answer 'pink' is none of"),
        ("a.json", _task(annotations=_chosen("red", "blue")), "task 0: expected one choice"),
        ("a.json", _task(annotations=_chosen("red", kind="taxonomy")), "type choices or number, got 'taxonomy'"),
        ("a.json", _task(annotations=2 * _chosen("red")), "imported answers 1 twice"),
        ("a.json", _task(annotations=[{**_chosen("red")[0], "lead_time": -1}]), "task 0: expected seconds"),
        ("a.json", _task(annotations=[{**_chosen("red")[0], "annotator": "x\n"}]), "task 0: expected the annotator"),
        ("a.csv", "id,name\n1,red\n", "the columns id .* and label, got id, name"),
        ("a.csv", "", "got none"),
        ("a.csv", "id,label\n1,red\n99,red\n", "a.csv, line 3: id '99'"),
        ("a.csv", "row,label\nx,red\n", "line 2: row 'x'"),
        ("a.csv", "id,label\n1,pink\n", "line 2: answer 'pink'"),
        ("a.csv", "id,label,seconds\n1,red,soon\n", "line 2: cannot read label 'red', seconds 'soon'"),
        ("a.csv", "id,label\n1\n", "line 2: cannot read label None"),
        ("a.csv", "id,label\n" + 200_000 * "x", "a.csv, line .: field larger than field limit"),
        ("a.csv", b"id,label\n1,\xff\n", "no text in UTF-8"),
        ("a.txt", "", "ends in .csv or .json"),
        ("b.csv", None, "there is no file"),
    ],
)
def test_strangers_in_files_are_refused(tmp_path, name, body, match):
    file = tmp_path / name
    if body is not None:
        body = body if isinstance(body, str | bytes) else json.dumps(body)
        file.write_bytes(body.encode() if isinstance(body, str) else body)
    with pytest.raises(ValueError, match=match):
        read_answers(file, CLASSES, {})


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """A record of 16 rows, of which some have two answers, and what a desk exported."""
    folder = tmp_path_factory.mktemp("labeled")
    with open_record(folder, "label", {}) as record, opened(record, repeat=0.4) as desk:
        rows = label_some(desk, "ada", 12)
        label_some(desk, "bob", 6)
        desk.settle()
        for kind in ("csv", "json"):
            desk.export(folder / f"labels.{kind}")
        with pytest.raises(ValueError, match=r"ends in .csv or .json"):
            desk.export(folder / "labels.txt")
    return folder, record.path, rows


def test_a_desk_takes_in_what_another_wrote(labeled, tmp_path):
    folder, _, _ = labeled
    for kind in ("csv", "json"):
        with open_record(tmp_path, kind, {}) as record, opened(record) as desk:
            assert desk.load(folder / f"labels.{kind}") == 18
            assert desk.load(folder / f"labels.{kind}") == 0  # there already
            assert desk.progress().by_annotator == {"ada": 12, "bob": 6}
            desk.settle()
            assert isinstance(item := desk.next("ada"), Item)
            assert item.row not in {entry.row for entry in desk.history("ada")}
            (tmp_path / "bad.csv").write_text("id,label\n30,red\n1,pink\n")
            before = len(record.events)
            with pytest.raises(ValueError, match="line 3: answer 'pink'"):
                desk.load(tmp_path / "bad.csv")  # none of it is taken
            assert len(record.events) == before
    with (
        open_record(tmp_path, "full", {}) as record,
        opened(record, capacity=10) as desk,
        pytest.raises(ValueError, match="leaves room for"),
    ):
        desk.load(folder / "labels.csv")


def test_labels_on_record_are_an_oracle(labeled):
    folder, path, _ = labeled
    found = recorded_labels(path)
    again = recorded_labels(folder)
    assert found.rows.tolist() == again.rows.tolist()
    assert found.y.tolist() == np.asarray(Y)[found.rows].tolist()
    stranger = next(row for row in range(40) if row not in found.rows)
    oracle = recorded_oracle(path)
    assert oracle(KEY, found.rows[[3, 0, 5]], None).tolist() == np.asarray(Y)[found.rows[[3, 0, 5]]].tolist()
    with pytest.raises(ValueError, match=f"row {stranger} has no label on record"):
        oracle(KEY, np.array([found.rows[0], stranger]), None)


@pytest.mark.slow
def test_the_loop_takes_labels_on_record_for_an_oracle(labeled):
    _, path, _ = labeled
    found = recorded_labels(path)
    setup = Setup(CENTERS, QUERY, 2, 2, 3)
    present = np.isin(np.arange(40), found.rows)
    log = run_eager(KEY, Task(POOL._replace(present=present), recorded_oracle(path)), setup)
    assert np.asarray(log.y).tolist() == np.asarray(Y)[np.asarray(log.indices)].tolist()


def test_most_say_what_a_label_is(tmp_path):
    with open_record(tmp_path, "label", {}) as record, opened(record, repeat=1.0) as desk:
        item = desk.next("ada")
        for name, answer in (("ada", "green"), ("bob", "red"), ("cy", "red")):
            desk.answer(name, item.row, answer)
        other = desk.next("dan")
        while other.what != "first":
            desk.skip("dan", other)
            other = desk.next("dan")
        desk.answer("dan", other, "blue")
        desk.answer("ada", other.row, "red")
    found = recorded_labels(record.path)
    assert dict(zip(found.rows.tolist(), found.y.tolist())) == {item.row: 0, other.row: 2}  # red; blue came first
    with pytest.raises(ValueError, match="one record of labels"):
        recorded_labels(tmp_path / "nowhere")


TEXTS = ["win a large prize now my friend", "see you at lunch on monday then", "prize prize win money now quickly"]


def test_straight_from_a_table(tmp_path):
    file = tmp_path / "mails.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["name", "size", "body"], *([f"m{n}", n, TEXTS[n % 3]] for n in range(9))])
    found = from_files(file, classes=["spam", "ham"], id_column="name")
    assert "texts in 'body'" in found.said
    assert "power_bald" in found.said
    assert found.labeling.render(1).content == TEXTS[1]
    assert found.labeling.ids[1] == "m1"
    assert np.linalg.norm(found.labeling.x[0] - found.labeling.x[3]) < 1e-4  # the same text
    numbers = from_files(file, number=(0.0, 9.0), columns=["size"])
    assert numbers.labeling.x.shape == (9, 1)
    assert dict(numbers.labeling.render(2).content)["name"] == "m2"
    several = from_files(file, classes=["a", "b"], several=True)
    assert several.labeling.several == ["a", "b"]
    for options, match in (
        ({}, "classes or a number"),
        ({"classes": ["a"], "text_column": "x"}, "has no column 'x'; it has name, size, body"),
    ):
        with pytest.raises(ValueError, match=match):
            from_files(file, **options)
    for other, match in ((tmp_path / "no.csv", "no file"), (tmp_path / "a.pdf", "a .csv file, a folder of pictures")):
        with pytest.raises(ValueError, match=match):
            from_files(other, classes=["a", "b"])
    file.write_text("id,body\n007,none of them\n08,1.50\n9,none\n")
    found = from_files(file, classes=["a", "b"], id_column="id", text_column="body")
    assert found.labeling.ids == ["007", "08", "9"]
    assert [found.labeling.render(row).content for row in (1, 2)] == ["1.50", "none"]
    file.write_text("size,kind\n1,x\n")
    with pytest.raises(ValueError, match="expected at least 2 rows to label, got 1 in"):
        from_files(file, classes=["a", "b"])


def test_straight_from_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(5):
        Image.fromarray(np.full((40, 60, 3), 50 * number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    found = from_files(tmp_path, classes=["dark", "light"])
    assert found.labeling.ids == [f"in/{number}.png" for number in range(5)]
    view = found.labeling.render(2)
    assert (view.kind, view.content.shape, int(view.content[0, 0, 0])) == ("image", (40, 60, 3), 100)
    first = found.labeling.x[:, 0] * np.sign(found.labeling.x[4, 0] - found.labeling.x[0, 0])
    assert (np.diff(first) > 0).all()  # by brightness
    assert max(opened_picture(tmp_path / "in" / "1.png", 30).size) == 30
    Image.fromarray(np.array([[0, 300, 65535]], np.uint16)).save(tmp_path / "16.png")
    assert np.asarray(opened_picture(tmp_path / "16.png"))[0].tolist() == [[0] * 3, [1] * 3, [255] * 3]
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "in" / "7.tif")
    with pytest.raises(ValueError, match=r"7.tif cannot be read as a picture \(its levels have 32 bits"):
        from_files(tmp_path, classes=["dark", "light"])
    (tmp_path / "in" / "7.tif").unlink()
    (tmp_path / "in" / "7.jpg").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"7.jpg cannot be read as a picture"):
        from_files(tmp_path, classes=["dark", "light"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="expected pictures in"):
        from_files(tmp_path / "empty", classes=["dark", "light"])


def for_the_command(num_test: int = 0):
    return LABELING._replace(test_rows=num_test)


def no_problem(config, seed):
    return for_the_command(5)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen = []

    def served(desk, **options):
        assert desk.settle(60)
        seen.append((desk.progress().labels, options, desk.form.test_rows))
        label_some(desk, "ada", 3)

    page = ModuleType("bal.labeling.page")
    page.serve_desk = served  # a browser is for other tests
    monkeypatch.setitem(sys.modules, "bal.labeling.page", page)
    typed = ["label", "test_label_files:for_the_command", "num_test=5", "--root", "labels", "--annotators", "ada"]
    for before in (0, 3):
        assert main([*typed, "--port", "7", "--no-open", "--export", "end.csv"]) == 0
        assert seen[-1][0] <= before
        assert seen[-1][1:] == ({"host": "127.0.0.1", "port": 7, "open_browser": False}, seen[0][2])
        assert len(seen[-1][2]) == 5
    told = capsys.readouterr().out
    assert "answers are kept in" in told
    assert "6 answers in end.csv" in told
    assert len((tmp_path / "end.csv").read_text().splitlines()) == 7
    for kind in ("csv", "json"):
        assert main(["export", "labels", f"labels.{kind}"]) == 0
    assert (tmp_path / "labels.csv").read_text() == (tmp_path / "end.csv").read_text()
    assert len(json.loads((tmp_path / "labels.json").read_text())) == 6
    assert main(["status", "labels"]) == 0
    assert "bal export labels labels.csv writes them" in capsys.readouterr().out
    assert main(["report", "labels"]) == 2
    assert "bal export labels labels.csv writes them" in capsys.readouterr().err
    (folder,) = (file.parent for file in (tmp_path / "labels").rglob("config.json"))
    assert main(["replay", str(folder), "test_label_files:no_problem"]) == 2
    assert "must return a task and a set-up, got Labeling" in capsys.readouterr().err
    for words, match in (
        (["test_label_files:Form"], "cannot be called with {}"),
        (["test_label_files:for_the_command", "num=3"], "cannot be called with {'num': 3}"),
        (["test_label_files:for_the_command", "num"], "setting num: expected name=value"),
        (["test_label_files:for_the_command", "--classes", "a"], "--classes is for files"),
        (["test_label_files:for_the_command", "--several"], "--several is for files"),
        (["nothing.csv", "x=3", "--classes", "a"], "settings such as 'x=3' are for module:function"),
        (["nothing.pdf", "--classes", "a"], "expected a .csv file, a folder"),
        (["nothing.csv"], "expected classes or a number"),
    ):
        assert main(["label", *words, "--root", "other"]) == 2
        assert match in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_file_is_one_record_however_its_path_is_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mails.csv").write_text("size,links\n3,1\n5,0\n8,2\n")
    (tmp_path / "folder").mkdir()
    typed = ["mails.csv", "./mails.csv", "folder/../mails.csv", str(tmp_path / "mails.csv")]
    configs = [labeling_of(Label(source=source, classes=("spam", "ham")))[2] for source in typed]
    assert configs == 4 * [configs[0]]
    assert configs[0]["labeling"] == "mails.csv"  # as records of earlier versions have it
    (tmp_path / "folder" / "mails.csv").write_text("size,links\n3,1\n5,0\n8,2\n")
    assert labeling_of(Label(source="folder/mails.csv", classes=("spam", "ham")))[2] != configs[0]


@pytest.mark.parametrize("name", ["said.csv", "said.json"])
def test_what_one_said_twice_is_taken_in_twice_and_once(tmp_path, name):
    ids = [f"row\u2028{row}" for row in range(len(LABELING.x))]  # no line ends there
    with open_record(tmp_path, "one", {}) as record, opened(record, repeat=1.0, ids=ids) as desk:
        for _ in range(14):
            desk.settle()
            item = desk.next("ada")
            desk.answer("ada", item, TRUTH[item.row], seconds=1.0)
        before = [(entry.row, entry.answer, entry.what) for entry in desk.history("ada")]
        assert "again" in {what for _, _, what in before}
        desk.export(tmp_path / name)
    with open_record(tmp_path, "two", {}) as record, opened(record, repeat=1.0, ids=ids) as desk:
        assert desk.load(tmp_path / name) == 14
        assert desk.load(tmp_path / name) == 0
        assert sorted((entry.row, entry.answer, entry.what) for entry in desk.history("ada")) == sorted(before)
        assert desk.agreement(with_self=True).share == 1.0
