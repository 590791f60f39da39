"""Pretrained networks as pure functions: encoders of text and of images, and a small language model.

A loader takes a path, or finds an installed package; tiny ones with random weights stand in for tests. Weights are
frozen arrays, `variables`, that adapters add collections to (`Linear`).
"""

from bal.backbones.linear import Linear, Scale
from bal.backbones.nouns import ImageEncoder, LanguageModel, Source, TextEncoder

__all__ = ["ImageEncoder", "LanguageModel", "Linear", "Scale", "Source", "TextEncoder"]
