"""A llama in float64, slowly and from the papers: one text, one head, one token after the other."""

import numpy as np


def norm(x, gain, epsilon):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * gain


def turned(x, base, neighbors):
    """Rotary positions: by complex numbers, of pairs of neighbors or of halves."""
    length, size = x.shape
    z = x[:, 0::2] + 1j * x[:, 1::2] if neighbors else x[:, : size // 2] + 1j * x[:, size // 2 :]
    z = z * np.exp(1j * np.arange(length)[:, None] / base ** (2 * np.arange(size // 2) / size))
    y = np.empty_like(x)
    if neighbors:
        y[:, 0::2], y[:, 1::2] = z.real, z.imag
    else:
        y[:, : size // 2], y[:, size // 2 :] = z.real, z.imag
    return y


def attention(x, weights, config, neighbors=False, scales=None):
    """`weights`: query, key, value, out as [in, out]; `scales`: (l_k, l_v)."""
    size, each = config.width // config.num_heads, config.num_heads // config.num_shared
    keys, values = x @ weights["key"], x @ weights["value"]
    if scales is not None:
        keys, values = keys * scales[0], values * scales[1]
    found = []
    for head in range(config.num_heads):
        mine = slice((head // each) * size, (head // each + 1) * size)
        query = turned((x @ weights["query"])[:, head * size : (head + 1) * size], config.base, neighbors)
        key = turned(keys[:, mine], config.base, neighbors)
        rows = []
        for t in range(len(x)):
            scores = key[: t + 1] @ query[t] / np.sqrt(size)
            shares = np.exp(scores - scores.max())
            rows.append(shares / shares.sum() @ values[: t + 1, mine])
        found.append(np.array(rows))
    return np.concatenate(found, 1) @ weights["out"]


def logits(params, tokens, config, neighbors=False, ia3=None):
    """[T, V] of one text; `ia3`: layer -> (l_k, l_v, l_ff)."""
    of = lambda tree: {k: of(v) if isinstance(v, dict) else np.asarray(v, np.float64) for k, v in tree.items()}
    params = of(params)
    hidden = params["embedding"][np.asarray(tokens)]
    for number in range(config.num_layers):
        layer = params[f"layers_{number}"]
        kernels = {name: part["kernel"] for name, part in layer["attention"].items()}
        scales = None if ia3 is None else ia3[number]
        x = norm(hidden, layer["attention_norm"]["scale"], config.epsilon)
        hidden = hidden + attention(x, kernels, config, neighbors, None if scales is None else scales[:2])
        x = norm(hidden, layer["feed_norm"]["scale"], config.epsilon)
        gate, up = x @ layer["gate"]["kernel"], x @ layer["up"]["kernel"]
        units = gate / (1 + np.exp(-gate)) * up * (1 if scales is None else scales[2])
        hidden = hidden + units @ layer["down"]["kernel"]
    hidden = norm(hidden, params["norm"]["scale"], config.epsilon)
    return hidden @ (params["embedding"].T if config.tied else params["head"]["kernel"])


def log_softmax(scores):
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))
