"""Checks for methods of your own: what the tests of `bal` do to every function of the package.

    from bal.testing import check_acquisition

    def test_my_score():
        check_acquisition(my_score, lower=0.0)

A check returns nothing, or raises `Fault`, an `AssertionError` of one sentence: what was expected, on which input it
failed, how to mend it. Checks hold the contract; whether a score is the right one takes an oracle of your own.
"""

from bal.testing.acquisitions import check_acquisition
from bal.testing.faults import Fault, check_value
from bal.testing.kernels import check_kernel
from bal.testing.learners import check_learner
from bal.testing.oracles import check_oracle
from bal.testing.queries import check_query
from bal.testing.rules import check_rule

__all__ = [
    "Fault",
    "check_acquisition",
    "check_kernel",
    "check_learner",
    "check_oracle",
    "check_query",
    "check_rule",
    "check_value",
]
