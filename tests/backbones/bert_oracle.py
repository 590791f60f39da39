"""BERT in float64 loops over sentences, heads and layers, written from the paper: no library but numpy and math.erf."""

import math

import numpy as np

erf = np.vectorize(math.erf)


def normalize(x, scale, bias, epsilon):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def activate(x, kind):
    if kind == "relu":
        return np.maximum(x, 0)
    if kind == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def states(params, config, ids):
    """States of the tokens of one sentence after every layer, the embedding first: no padding, no batch."""
    p, found = params, []
    h = np.stack([p["words"][i] + p["positions"][config.first_position + t] for t, i in enumerate(ids)])
    if config.token_types:
        h = h + p["types"][0]
    h = normalize(h, p["norm"]["scale"], p["norm"]["bias"], config.epsilon)
    found.append(h)
    for number in range(config.num_layers):
        layer = p[f"layers_{number}"]
        linear = lambda x, part: x @ part["kernel"] + part["bias"]
        q, k, v = (linear(h, layer["attention"][name]) for name in ("query", "key", "value"))
        size, told = config.width // config.num_heads, []
        for head in range(config.num_heads):
            cut = slice(head * size, (head + 1) * size)
            told.append(softmax(q[:, cut] @ k[:, cut].T / math.sqrt(size)) @ v[:, cut])
        told = linear(np.concatenate(told, 1), layer["attention"]["out"])
        h = normalize(h + told, layer["attention_norm"]["scale"], layer["attention_norm"]["bias"], config.epsilon)
        units = activate(linear(h, layer["feed_in"]), config.activation)
        told = linear(units, layer["feed_out"])
        h = normalize(h + told, layer["feed_norm"]["scale"], layer["feed_norm"]["bias"], config.epsilon)
        found.append(h)
    return found
