"""Pretrained networks as pure functions: encoders of text and of images, and a small language model.

A loader takes a path, or finds an installed package; tiny ones with random weights stand in for tests. Weights are
frozen arrays, `variables`, that adapters add collections to (`Linear`).
"""

from bal.backbones.bert import Bert, BertConfig
from bal.backbones.linear import Linear, Scale
from bal.backbones.nouns import ImageEncoder, LanguageModel, Source, TextEncoder
from bal.backbones.sentences import sentence_features, token_states
from bal.backbones.text import bert_encoder, minilm
from bal.backbones.tiny import tiny_text_encoder
from bal.backbones.tokens import Tokens, tokenize

__all__ = [
    "Bert",
    "BertConfig",
    "ImageEncoder",
    "LanguageModel",
    "Linear",
    "Scale",
    "Source",
    "TextEncoder",
    "Tokens",
    "bert_encoder",
    "minilm",
    "sentence_features",
    "tiny_text_encoder",
    "token_states",
    "tokenize",
]
