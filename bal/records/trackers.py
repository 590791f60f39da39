"""Other people's dashboards as sinks: what a record is told, a tracker hears too, and never stops the run.

The record on disk is always written and remains the truth. A tracker is anything with the three methods of `Tracker`;
`tensorboard`, `wandb` and `mlflow` make such of libraries that are imported here and nowhere else.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bal.libraries import installed


@runtime_checkable
class Tracker(Protocol):
    """Somebody who is told beside the record."""

    def on_start(self, config: dict[str, Any]) -> None:
        """What the record stands for, once."""

    def on_round(self, event: dict[str, Any]) -> None:
        """An event of kind "round", when it is on disk."""

    def on_end(self, summary: dict[str, Any]) -> None:
        """The summary, when the record is finished."""


class Watched:
    """Trackers of one record. One that raises is warned of, once, and told no more."""

    def __init__(self) -> None:
        self._trackers: list[Tracker] = []

    def add(self, tracker: Any, config: dict[str, Any]) -> None:
        """One more; a tracker that cannot begin is left out like one that fails later."""
        for name in ("on_start", "on_round", "on_end"):
            if not callable(getattr(tracker, name, None)):
                raise TypeError(
                    f"expected a tracker with on_start, on_round and on_end, got {type(tracker).__name__} without "
                    f"{name}; see bal.records.Tracker"
                )
        self._trackers.append(tracker)
        self._tell(tracker, "on_start", config)

    def told(self, method: str, what: dict[str, Any]) -> None:
        """Tell all of them."""
        for tracker in list(self._trackers):
            self._tell(tracker, method, what)

    def _tell(self, tracker: Tracker, method: str, what: dict[str, Any]) -> None:
        try:
            getattr(tracker, method)(what)
        except Exception as error:  # whatever a dashboard may do, the run goes on
            self._trackers.remove(tracker)
            warnings.warn(
                f"{type(tracker).__name__}.{method} failed ({type(error).__name__}: {error}) and is told no more; the "
                "run goes on, and its record has everything",
                stacklevel=4,
            )


def numbers(event: dict[str, Any]) -> dict[str, float]:
    """The metrics of a round by ``seed <s>/<name>``: what can be drawn against `labels_of`.

    >>> numbers({"seed": 3, "metrics": {"accuracy": 0.5}})
    {'seed 3/accuracy': 0.5}
    """
    return {f"seed {event['seed']}/{name}": float(value) for name, value in event["metrics"].items()}


def labels_of(event: dict[str, Any]) -> int:
    """Labels in the training set when the metrics of a round were measured."""
    return event["counts"]["training"]


class _TensorBoard:
    """Made by `tensorboard`."""

    def __init__(self, writer: Any):
        self._writer = writer

    def on_start(self, config: dict[str, Any]) -> None:
        self._writer.add_text("config", "\n".join(f"    {name} = {value}" for name, value in flat(config)))

    def on_round(self, event: dict[str, Any]) -> None:
        for name, value in numbers(event).items():
            self._writer.add_scalar(name, value, labels_of(event))

    def on_end(self, summary: dict[str, Any]) -> None:
        self._writer.add_text("summary", "\n".join(f"    {name} = {value}" for name, value in flat(summary)))
        self._writer.close()


class _Wandb:
    """Made by `wandb`."""

    def __init__(self, run: Any):
        self._run = run

    def on_start(self, config: dict[str, Any]) -> None:
        self._run.config.update(dict(flat(config)))
        self._run.define_metric("labels")
        self._run.define_metric("*", step_metric="labels")

    def on_round(self, event: dict[str, Any]) -> None:
        self._run.log({"labels": labels_of(event), **numbers(event)})

    def on_end(self, summary: dict[str, Any]) -> None:
        self._run.summary.update(dict(flat(summary)))
        self._run.finish()


class _MLflow:
    """Made by `mlflow`."""

    def __init__(self, client: Any, run: str):
        self._client, self._run = client, run

    def on_start(self, config: dict[str, Any]) -> None:
        for name, value in flat(config):
            self._client.log_param(self._run, name, str(value)[:500])  # longer ones are refused

    def on_round(self, event: dict[str, Any]) -> None:
        for name, value in numbers(event).items():
            self._client.log_metric(self._run, name, value, step=labels_of(event))

    def on_end(self, summary: dict[str, Any]) -> None:
        for name, value in flat(summary):
            self._client.set_tag(self._run, name, str(value))
        self._client.set_terminated(self._run)


def tensorboard(folder: str | Path) -> Tracker:
    """Scalars for TensorBoard in a folder, against the number of labels; needs tensorboardX.

    Raises:
      MissingLibraryError: it is not installed.
    """
    return _TensorBoard(_library("tensorboardX").SummaryWriter(str(folder)))


def wandb(folder: str | Path, project: str = "bal", mode: str = "offline") -> Tracker:
    """A run of Weights & Biases, kept in a folder: nothing is sent unless `mode` is "online"; needs wandb.

    Raises:
      MissingLibraryError: it is not installed.
    """
    library = _library("wandb")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return _Wandb(library.init(project=project, dir=str(folder), mode=mode, reinit="create_new"))


def mlflow(folder: str | Path, experiment: str = "bal") -> Tracker:
    """A run of MLflow in ``folder/mlflow.db`` (sqlite); needs mlflow. Its telemetry is turned off.

    Raises:
      MissingLibraryError: it is not installed.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    tracking = _library("mlflow.tracking")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    client = tracking.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    number = client.create_experiment(experiment, (folder / "files").as_uri()) if found is None else found.experiment_id
    return _MLflow(client, client.create_run(number).info.run_id)


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested dicts by their names, joined by dots.

    >>> list(flat({"a": 1, "b": {"c": 2}}))
    [('a', 1), ('b.c', 2)]
    """
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _library(module: str) -> Any:
    package = module.split(".")[0]
    return installed(module, "this tracker needs", f'"{package}"')
