"""Pretrained networks as pure functions: encoders of text and of images, and a small language model.

A loader takes a path, or finds an installed package; tiny ones with random weights stand in for tests. Weights are
frozen arrays, `variables`, that adapters add collections to (`Linear`).
"""

from bal.backbones.bert import Bert, BertConfig
from bal.backbones.byte_pairs import byte_pairs
from bal.backbones.efficientnet import EfficientNet, EfficientNetConfig
from bal.backbones.generating import chat, generate
from bal.backbones.images import efficientnet_lite0, image_features, image_inputs
from bal.backbones.language import llama_model, smollm2, tiny_language_model
from bal.backbones.linear import Linear, Scale
from bal.backbones.llama import Llama, LlamaConfig
from bal.backbones.nouns import ImageEncoder, LanguageModel, Source, TextEncoder
from bal.backbones.pruning import LayerFlops, count_flops, kept_filters, mask_filters, prune_filters
from bal.backbones.scoring import Answered, TokenLogProbs, answer_log_probs, answered, log_probabilities
from bal.backbones.sentences import sentence_features, token_states
from bal.backbones.text import bert_encoder, minilm
from bal.backbones.tiny import tiny_image_encoder, tiny_text_encoder
from bal.backbones.tokens import Tokens, tokenize

__all__ = [
    "Answered",
    "Bert",
    "BertConfig",
    "EfficientNet",
    "EfficientNetConfig",
    "ImageEncoder",
    "LanguageModel",
    "LayerFlops",
    "Linear",
    "Llama",
    "LlamaConfig",
    "Scale",
    "Source",
    "TextEncoder",
    "TokenLogProbs",
    "Tokens",
    "answer_log_probs",
    "answered",
    "bert_encoder",
    "byte_pairs",
    "chat",
    "count_flops",
    "efficientnet_lite0",
    "generate",
    "image_features",
    "image_inputs",
    "kept_filters",
    "llama_model",
    "log_probabilities",
    "mask_filters",
    "minilm",
    "prune_filters",
    "sentence_features",
    "smollm2",
    "tiny_image_encoder",
    "tiny_language_model",
    "tiny_text_encoder",
    "token_states",
    "tokenize",
]
