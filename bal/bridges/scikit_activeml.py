"""A query as a strategy of scikit-activeml: ``as_skactiveml(bald()).query(X, y, clf=...)``."""

from functools import cache
from typing import Any

import jax
import numpy as np

from bal.bridges.libraries import library
from bal.bridges.picking import check_query, fitted_learner, pick
from bal.learners.estimators import member_probabilities
from bal.typing import Posterior, Query


def as_skactiveml(
    query: Query, *, by_member: bool = False, missing_label: Any = np.nan, random_state: Any = None
) -> Any:
    """A `SingleAnnotatorPoolQueryStrategy` of scikit-activeml that asks by a query of `bal`.

    Its method is ``query(X, y, clf, fit_clf=True, sample_weight=None, candidates=None, batch_size=1,
    return_utilities=False)``, with the meanings of the library's own strategies. `clf` is a classifier of theirs, such
    as `SklearnClassifier`, of one posterior draw; or a list of them, each of which is a draw. The pool is the
    candidates; rows that have a label are known rows. Utilities are the scores, NaN for rows that are no candidates or
    have been picked: queries of one stage that scores rows have them.

    Use it when a program is written for scikit-activeml, to compare a method with the library's own.

    Args:
      query: as `bal.strategies.bald()`; none that remembers rounds.
      by_member: one draw a member of the forest, or bagging or voting ensemble, that a `SklearnClassifier` wraps.
      missing_label: what stands in `y` where there is no label.
      random_state: a seed or a `RandomState`, of rules that draw.

    Raises:
      ImportError: scikit-activeml is not installed.
      TypeError: no query, or one that remembers rounds; when asked, a classifier that is none of scikit-activeml.
      ValueError: when asked, utilities of a query that has none.

    Kottke et al. 2021, "scikit-activeml: A Library and Toolbox for Active Learning Algorithms".
    """
    check_query(query)
    return _strategy_class()(query, by_member, missing_label, random_state)


@cache
def _strategy_class() -> type:
    """The class, made when the library is there to inherit from."""
    base: Any = library("skactiveml.base")

    class QueryOfBal(base.SingleAnnotatorPoolQueryStrategy):
        """See `as_skactiveml`."""

        def __init__(
            self, bal_query: Query, by_member: bool = False, missing_label: Any = np.nan, random_state: Any = None
        ):
            super().__init__(missing_label=missing_label, random_state=random_state)
            self.bal_query, self.by_member = bal_query, by_member

        def __reduce__(self) -> tuple:
            return _remade, (self.get_params(deep=False),)

        def query(
            self,
            X: Any,
            y: Any,
            clf: Any,
            fit_clf: bool = True,
            sample_weight: Any = None,
            candidates: Any = None,
            batch_size: int = 1,
            return_utilities: bool = False,
        ) -> Any:
            """Positions of the picks in X, or in the candidates where these are rows; see `as_skactiveml`."""
            X, y, candidates, batch_size, return_utilities = self._validate_data(
                X, y, candidates, batch_size, return_utilities, reset=True
            )
            rows, places = self._transform_candidates(candidates, X, y)
            for one in _members_of(clf):
                if not isinstance(one, base.SkactivemlClassifier):
                    raise TypeError(
                        f"expected a classifier of scikit-activeml, got {type(one).__name__}; wrap it: "
                        "SklearnClassifier(estimator, classes=[0, 1])"
                    )
            models = [_fitted(one, X, y, sample_weight) if fit_clf else one for one in _members_of(clf)]
            known = X[library("skactiveml.utils").is_labeled(y, missing_label=self.missing_label_)]
            key = jax.random.key(int(self.random_state_.randint(2**31 - 1)))
            learner = _by_member if self.by_member else _by_model
            found = pick(key, self.bal_query, Posterior(models, learner), rows, known, batch_size)
            picked = found.indices if places is None else places[found.indices]
            if not return_utilities:
                return picked
            if found.every is None:
                raise ValueError(
                    f"utilities are scores of all rows, but {self.bal_query} is no query of one stage that scores "
                    "rows; leave return_utilities out"
                )
            utilities = np.full((batch_size, len(X) if places is not None else len(rows)), np.nan)
            utilities[:, slice(None) if places is None else places] = found.every
            for number, place in enumerate(picked):
                utilities[number + 1 :, place] = np.nan
            return picked, utilities

    return QueryOfBal


def _members_of(clf: Any) -> list[Any]:
    return list(clf) if isinstance(clf, list | tuple) else [clf]


def _fitted(clf: Any, x: np.ndarray, y: np.ndarray, sample_weight: Any) -> Any:
    fresh: Any = library("sklearn.base").clone(clf)
    return fresh.fit(x, y) if sample_weight is None else fresh.fit(x, y, sample_weight=sample_weight)


def _remade(settings: dict[str, Any]) -> Any:
    return _strategy_class()(**settings)


_by_model = fitted_learner(lambda models, x: np.stack([model.predict_proba(x) for model in models], 1))
_by_member = fitted_learner(
    lambda models, x: np.concatenate([member_probabilities(model.estimator_, x) for model in models], 1)
)
