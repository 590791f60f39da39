"""Trackers hear what a record is told, and never stop it."""

import importlib.util

import pytest
from record_cases import CONFIG, make_round

from bal.records import mlflow, open_record, tensorboard, wandb


class Sink:
    def __init__(self, fails=()):
        self.told, self.fails = [], fails

    def tell(self, method, what):
        self.told.append((method, what))
        if method in self.fails:
            raise ConnectionError("no server")

    def on_start(self, config):
        self.tell("start", config)

    def on_round(self, event):
        self.tell("round", event)

    def on_end(self, summary):
        self.tell("end", summary)


def run(root, *trackers):
    with open_record(root, "run", CONFIG) as record:
        record.append([make_round(0)])
        for tracker in trackers:
            record.track(tracker)
        record.append([{"kind": "note", "text": "hello"}, make_round(1)])
        record.append([make_round(2)])
        record.finish({"accuracy": 0.9})
    return record


def test_a_tracker_hears_rounds_from_now_on_and_the_summary(tmp_path):
    sink = Sink()
    run(tmp_path, sink)
    rounds = [("round", make_round(1)), ("round", make_round(2))]
    assert sink.told == [("start", CONFIG), *rounds, ("end", {"accuracy": 0.9})]


@pytest.mark.parametrize("when", ["start", "round", "end"])
def test_a_tracker_that_fails_is_warned_of_once_and_the_record_is_whole(when, tmp_path):
    bad, good = Sink({when}), Sink()
    with pytest.warns(UserWarning, match=rf"Sink.on_{when} failed \(ConnectionError: no server\)") as caught:
        record = run(tmp_path, bad, good)
    assert len(caught) == 1
    assert bad.told[-1][0] == when
    assert [method for method, _ in bad.told].count(when) == 1
    assert len(good.told) == 4
    assert [event.get("round") for event in record.events] == [0, None, 1, 2]
    assert record.done


def test_what_is_refused_by_the_record_is_told_to_nobody(tmp_path):
    sink = Sink()
    with open_record(tmp_path, "run", CONFIG) as record:
        record.track(sink)
        with pytest.raises(ValueError, match="must be round 0"):
            record.append([make_round(1)])
        with pytest.raises(TypeError, match="without on_round"):
            record.track(type("Half", (), {"on_start": print})())
    assert sink.told == [("start", CONFIG)]


@pytest.mark.parametrize("make", [tensorboard, wandb, mlflow])
def test_other_libraries(make, tmp_path, monkeypatch):
    library = {"tensorboard": "tensorboardX"}.get(make.__name__, make.__name__)
    if importlib.util.find_spec(library) is None:
        with pytest.raises(ImportError, match=f"needs {library}, which is not installed"):
            make(tmp_path)
        pytest.skip(f"{library} is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(tmp_path / "runs", make(tmp_path / "sink"))
    files = [path for path in (tmp_path / "sink").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > 200
    if make is mlflow:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{tmp_path / 'sink' / 'mlflow.db'}")
        (found,) = client.search_runs([client.get_experiment_by_name("bal").experiment_id])
        assert found.info.status == "FINISHED"
        steps = client.get_metric_history(found.info.run_id, "seed 0/accuracy")
        assert [(point.step, point.value) for point in steps] == [
            (event["counts"]["training"], event["metrics"]["accuracy"]) for event in (make_round(1), make_round(2))
        ]
