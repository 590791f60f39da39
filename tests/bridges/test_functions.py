"""A model that another runtime executes, as a learner of two functions."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bal.acquisition import predictive_entropy
from bal.learners import from_functions, from_sklearn
from bal.typing import Data

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.argmax(X, 1)


def test_a_model_of_onnx():
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    convert = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed").to_onnx

    def fit(x, y):
        exported = convert(LogisticRegression().fit(x, y), x[:1], options={"zipmap": False})
        return runtime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])

    def predict(session, x):
        return session.run(["probabilities"], {"X": np.asarray(x, np.float32)})[0]

    data = Data(X, Y, (np.arange(40) < 30).astype(float))
    scores = []
    for learner in (from_functions(fit, predict), from_sklearn(LogisticRegression(), num_classes=3)):
        model = learner.fit(jax.random.key(0), None, data)
        scores.append(jax.jit(predictive_entropy)(learner.predict(model, X)))
    np.testing.assert_allclose(*scores, atol=1e-6)
