"""Checkpoints in three sets of names, and what is said of files that are not what they should be."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from backbones.bert_oracle import states
from backbones.files import BERT, DISTILBERT, DISTILLED, SAID, SIZES, arrays, draw, save

from bal.backbones import bert_encoder, minilm, tokenize
from bal.datasets import CorruptDataError, MissingDataError

PARAMS = draw()
DOUBLE = jax.tree.map(np.float64, PARAMS)
TEXT = "w7 w31 unheard w4"
IDS = [1, 7, 31, 3, 4, 2]
ROBERTA = {"model_type": "roberta", "layer_norm_eps": 1e-5}
PLAIN = (BERT, "encoder.layer")


@pytest.mark.parametrize(
    ("layout", "said", "config"),
    [
        (PLAIN, SAID, SIZES),
        (
            (*PLAIN, "bert.", ("gamma", "beta")),
            SAID | {"hidden_act": "gelu_new"},
            SIZES._replace(activation="gelu_tanh"),
        ),
        ((*PLAIN, "roberta."), SAID | ROBERTA, SIZES._replace(first_position=2, epsilon=1e-5)),
        ((DISTILBERT, "transformer.layer", "distilbert."), DISTILLED, SIZES._replace(token_types=0)),
    ],
    ids=["BERT", "old BERT", "RoBERTa", "DistilBERT"],
)
def test_three_sets_of_names(tmp_path, layout, said, config):
    """A head beside them is left out; the outputs are those of the oracle."""
    head = {"classifier.weight": np.zeros((3, 16), np.float32)}
    encoder = bert_encoder(save(tmp_path / "mine", arrays(PARAMS, *layout) | head, said))
    assert encoder.module.config == config
    assert (encoder.source.name, encoder.source.revision) == ("mine", "file model.safetensors")
    assert len(encoder.source.sha256) == 64
    tokens, mask = tokenize(encoder, [TEXT])
    assert tokens[0].tolist() == IDS
    found = jax.jit(encoder.module.apply)(encoder.variables, tokens, mask)
    np.testing.assert_allclose(found[0], states(DOUBLE, config, IDS)[-1], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_half_precision_in_the_file_is_single_in_memory(tmp_path, dtype):
    halves = {name: array.astype(dtype) for name, array in arrays(PARAMS, *PLAIN).items()}
    encoder = bert_encoder(save(tmp_path, halves, SAID) / "model.safetensors")
    words = encoder.variables["params"]["words"]
    assert words.dtype == np.float32
    assert (np.asarray(words) == PARAMS["words"].astype(dtype).astype(np.float32)).all()


def test_products_in_bfloat16_are_told_by_the_manifest(tmp_path):
    """Else a folder of features that was begun in float32 would go on in bfloat16."""
    folder = save(tmp_path / "mine", arrays(PARAMS, *PLAIN), SAID)
    single, half = (bert_encoder(folder, dtype=dtype).source for dtype in (jnp.float32, jnp.bfloat16))
    assert half == single._replace(preprocessing=f"{single.preprocessing}; products in bfloat16")
    with pytest.raises(TypeError, match=r"expected products in floating point, as .*, got int"):
        bert_encoder(folder, dtype=int)


def test_a_folder_has_its_name_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(save(tmp_path / "mine", arrays(PARAMS, *PLAIN), SAID))
    assert bert_encoder(".").source.name == bert_encoder("model.safetensors").source.name == "mine"
    with pytest.raises(MissingDataError, match=r"there is no .*; correct the path$"):
        bert_encoder("elsewhere")


def test_a_name_on_the_network_is_fetched_only_when_asked(tmp_path, monkeypatch):
    folder, asked = save(tmp_path / "mine", arrays(PARAMS, *PLAIN), SAID), []

    class Hub:
        __file__ = "hub"

        @staticmethod
        def hf_hub_download(repository, file, revision):
            asked.append((repository, file, revision))
            if repository != "who/mine":
                raise ValueError("not a name")
            return str(folder / file)

    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub)
    with pytest.raises(MissingDataError, match=r"there is no .*who/mine; correct the path"):
        bert_encoder("who/mine")
    assert not asked
    source = bert_encoder("who/mine", download=True, revision="v1").source
    assert (source.name, source.revision) == ("who/mine", "who/mine v1")
    assert source.sha256 == bert_encoder(folder, download=True).source.sha256  # a folder is read, and nobody asked
    assert asked == [("who/mine", file, "v1") for file in ("model.safetensors", "tokenizer.json", "config.json")]
    with pytest.raises(MissingDataError, match=r"a/b/c could not be fetched .*not a name.*; .* correct the name"):
        bert_encoder("a/b/c", download=True)


def broken(path, found=None, said=None, num_words=50):
    return save(path, found or arrays(PARAMS, *PLAIN), said or SAID, num_words)


def without(name):
    return {key: array for key, array in arrays(PARAMS, *PLAIN).items() if key != name}


LAST = "encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"said": SAID | {"model_type": "gpt2"}},
            r"of bert, distilbert, roberta, .*config.json says model_type 'gpt2'; take one of",
        ),
        ({"said": SAID | {"hidden_act": "silu"}}, r"gelu or relu, but .* says activation 'silu'"),
        (
            {"said": SAID | {"position_embedding_type": "relative_key"}},
            r"absolute positions .* says position_embedding_type 'relative_key'",
        ),
        ({"said": {"model_type": "bert", "vocab_size": 50}}, r"config.json does not say 'max_position_embeddings'"),
        ({"found": {"h.0.attn": np.zeros(3)}}, r"model.safetensors holds tensors such as 'h.0.attn'; take one of"),
        (
            {"found": without(LAST)},
            rf"model.safetensors lacks tensor '{LAST}'; it is no whole checkpoint: save or fetch",
        ),
        (
            {"found": without(LAST) | {LAST: np.zeros((16, 32), np.int8)}},
            r"in floating point, got int8; packed weights",
        ),
        ({"said": SAID | {"num_hidden_layers": 1}}, r"expected 1 layers in .*, but it also has 'encoder.layer.1.att"),
        ({"said": SAID | {"num_attention_heads": 3}}, r"expected heads that share 16 units .* says 3, 2 and 1e-12"),
        ({"said": SAID | {"type_vocab_size": "2"}}, r"and numbers of types and in norms, but .* says 2, '2' and 1e-12"),
        ({"said": SAID | {"is_decoder": True}}, r"expected an encoder of .*config.json says is_decoder True"),
        (
            {"said": SAID | {"intermediate_size": 31}},
            r"expected tensor 'encoder.layer.0.intermediate.dense.weight' of .*model.safetensors to have shape "
            r"\[31, 16\], as config.json says, but it has \[32, 16\]; take both files from the same model",
        ),
        (
            {"num_words": 53},
            r"expected a tokenizer of at most 50 tokens, as many as the model has words, but .*tokenizer.json numbers "
            r"them up to 52; take the one that belongs to the model",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        bert_encoder(broken(tmp_path, **changes))


@pytest.mark.parametrize(
    ("file", "content", "error", "words"),
    [
        (
            "model.safetensors",
            b"\xff" * 40,
            CorruptDataError,
            r"is not a readable file of safetensors .* fetch it again",
        ),
        ("config.json", b"{", ValueError, r"is not a readable config.json .* fetch it again"),
        ("config.json", b"[]", ValueError, r"is not a readable config.json .* fetch it again"),
        ("tokenizer.json", b"{}", ValueError, r"is not a readable tokenizer.json .* fetch it again"),
        ("model.safetensors", None, MissingDataError, r"expected a folder with model.safetensors, or that file"),
        ("config.json", None, ValueError, r"expected config.json beside the weights, as .*; it tells the sizes"),
        ("tokenizer.json", None, ValueError, r"expected a tokenizer at .*, where no file is; fetch tokenizer.json"),
    ],
)
def test_files_that_are_damaged_or_missing(tmp_path, file, content, error, words):
    folder = broken(tmp_path)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(error, match=words):
        bert_encoder(folder)


def test_a_file_cut_short(tmp_path):
    file = broken(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptDataError, match="is not a readable file of safetensors"):
        bert_encoder(tmp_path)


def test_another_model_under_a_known_name(tmp_path, monkeypatch):
    """By path it is anyone's; by name it must be the published one."""
    broken(tmp_path / "all-MiniLM-L6-v2")
    assert minilm(tmp_path / "all-MiniLM-L6-v2").module.config == SIZES
    monkeypatch.setenv("BAL_DATA", str(tmp_path))
    with pytest.raises(CorruptDataError, match=r"model.safetensors has SHA-256 .*, expected 53aa51172d1"):
        minilm()


def test_the_settings_of_the_tokenizer_are_not_taken(tmp_path):
    """A tokenizer.json that cuts after 4 tokens and pads to 128, as published ones do."""
    assert json.loads((broken(tmp_path) / "tokenizer.json").read_text())["truncation"]["max_length"] == 4
    assert tokenize(bert_encoder(tmp_path), ["w4 " * 9]).tokens.shape == (1, 11)
