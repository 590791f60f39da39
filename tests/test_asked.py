"""The acquisition log in numpy against the one of compiled loops."""

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.asked import advance, is_answered, is_pending
from bal.pool.labeled import answer, ask, empty_log, is_known, skip


def test_the_log_of_events_is_that_of_compiled_loops():
    """Twenty random events, one by one through `bal.pool.labeled`, and all at once."""
    rng = np.random.default_rng(0)
    slow = empty_log(60, jnp.zeros((1, 2)))
    first, events = jax.tree.map(np.asarray, slow), []
    place = lambda rows: jnp.asarray([slow.indices.tolist().index(row) for row in rows], jnp.int32)
    for _ in range(20):
        known = slow.indices[: slow.count].tolist()
        kind = rng.choice(["ask", "tell", "skip"])
        new = rng.choice(np.setdiff1d(np.arange(200), known), 1 + (kind == "ask")).tolist()
        if kind == "ask":
            rows = list(dict.fromkeys(new))
            slow = ask(slow, jnp.asarray(rows), jnp.ones(len(rows), bool))
            events.append({"kind": "ask", "rows": rows})
            continue
        rows = known[-3:-1] if kind == "skip" else [*known[-2:], *new]
        if kind == "skip" and rows:
            slow = skip(slow, place(rows))
        elif kind == "tell":
            labels = rng.normal(size=(len(rows), 2)).astype(np.float32)
            slow = ask(slow, jnp.asarray(new), jnp.ones(1, bool))
            slow = answer(slow, place(rows), jnp.asarray(labels), jnp.ones(len(rows)))
            events.append({"kind": "tell", "rows": rows, "labels": labels.tolist()})
        if kind == "skip":
            events.append({"kind": "skip", "rows": rows})
    fast = advance(first, events)
    for one, two in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype
    assert {"ask", "tell", "skip"} == {event["kind"] for event in events}
    np.testing.assert_array_equal(is_pending(fast), np.asarray(is_known(slow)) & (np.asarray(slow.weight) == 0))
    np.testing.assert_array_equal(is_answered(fast), np.asarray(slow.weight) > 0)
    assert all((leaf == 0).all() for leaf in (first.weight, first.y, first.count))  # not written to
