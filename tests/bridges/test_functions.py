"""A model that another runtime executes, as a learner of two functions."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bal import Campaign
from bal.acquisition import bald, predictive_entropy
from bal.learners import from_functions, from_sklearn
from bal.strategies import bald as bald_query
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


def test_a_network_of_torch_with_dropout_at_prediction():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def fit(x, y, seed):
        torch.manual_seed(seed % 2**63)
        network = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        optimizer = torch.optim.Adam(network.parameters(), 0.05)
        inputs, targets = torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y, np.int64))
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), targets).backward()
            optimizer.step()
        return network, torch.rand(8, 16) > 0.5  # a mask a draw, the same for every row

    def draws(model, x):
        network, masks = model
        with torch.no_grad():
            hidden = torch.relu(network[0](torch.as_tensor(np.asarray(x)))) * 2.0
            return torch.softmax(network[2](hidden[:, None] * masks), -1)

    learner = from_functions(fit, lambda model, x: draws(model, x).numpy())
    model = learner.fit(jax.random.key(0), None, Data(X, Y, np.ones(40)))
    found = draws(model, X).double()
    entropy = lambda p: -(p * p.log()).sum(-1)
    expected = entropy(found.mean(1)) - entropy(found).mean(1)  # in torch, in double precision
    np.testing.assert_allclose(bald(learner.predict(model, X)), expected.numpy(), atol=1e-6)
    campaign = Campaign(jax.random.key(1), learner, bald_query(), X, capacity=30, num_classes=3)
    campaign.tell(np.arange(20), Y[:20])
    asked = campaign.ask(3)
    assert len(set(asked.tolist())) == 3
    assert (asked >= 20).all()
    assert (np.asarray(campaign.predict(X)).mean(1).argmax(-1) == Y).mean() > 0.8
