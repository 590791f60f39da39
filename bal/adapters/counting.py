"""What a few-shot recipe costs, by arithmetic: parameters and FLOPs as T-Few's authors count them."""


def ia3_size(num_encoder_layers: int, num_decoder_layers: int, key: int, value: int, feed: int) -> int:
    """Numbers that (IA)³ learns: ``L_e (d_k + d_v + d_ff) + L_d (2 d_k + 2 d_v + d_ff)``.

    A decoder of an encoder-decoder scales keys and values of its cross-attention too; a model that is one stack of
    blocks, such as BERT or a llama, has these as encoder layers.

    Use it before anything is loaded; `count_parameters` counts what there is.

    >>> ia3_size(24, 24, 4096, 4096, 10240)  # T5-XXL
    1081344

    Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning".
    """
    return num_encoder_layers * (key + value + feed) + num_decoder_layers * (2 * key + 2 * value + feed)


def inference_flops(num_parameters: float | int, num_tokens: float | int, decoder_only: bool = False) -> float:
    """FLOPs of a pass: 2 a parameter and token; half of that in an encoder-decoder, where a token meets one of the two.

    Use it to compare recipes; attention is left out, and caching of the prompt's states.

    >>> f"{inference_flops(11e9, 103):.2e}", f"{inference_flops(175e9, 41 * 98 + 103, decoder_only=True):.2e}"
    ('1.13e+12', '1.44e+15')

    Kaplan et al. 2020, "Scaling Laws for Neural Language Models".
    """
    return (2 if decoder_only else 1) * num_parameters * num_tokens


def training_flops(
    num_parameters: float | int, num_steps: int, batch_size: int, num_tokens: float | int, decoder_only: bool = False
) -> float:
    """FLOPs of a training: three times those of its passes, the backward one being two of them.

    Use it to compare recipes. Where only adapters above a frozen part are trained, it is an upper bound.

    >>> f"{training_flops(11e9, 1000, 8, 103):.1e}"
    '2.7e+16'

    Liu et al. 2022.
    """
    return 3 * num_steps * batch_size * inference_flops(num_parameters, num_tokens, decoder_only)
