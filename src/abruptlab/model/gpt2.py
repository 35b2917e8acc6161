"""The decoder as Hugging Face's `GPT2LMHeadModel` with a read-out of its own, and back.

The decoder *is* that model without dropout; the table of names below, and that GPT-2 keeps the matrices of its layers
transposed, is all that lies between the two.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from torch import Tensor

from abruptlab.config import ModelConfig
from abruptlab.errors import ConfigError
from abruptlab.model.bert import copy_weights, matrix_of, require_config, stock_views
from abruptlab.model.decoder import LAYER_NORM_EPS, Decoder

if TYPE_CHECKING:
    import transformers

_STOCK_MODULES = {  # ours → GPT-2's
    "token_embedding": ["transformer.wte"],
    "position_embedding": ["transformer.wpe"],
    "attn_norm": ["ln_1"],
    "attn.qkv": ["attn.c_attn"],
    "attn.output": ["attn.c_proj"],
    "mlp_norm": ["ln_2"],
    "mlp.input": ["mlp.c_fc"],
    "mlp.output": ["mlp.c_proj"],
    "final_norm": ["transformer.ln_f"],
    "readout": ["lm_head"],
}
_TRANSPOSED = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")
_UNUSED = (".attn.bias", ".attn.masked_bias")  # what is visible, which older releases keep among the weights


def stock_gpt2(decoder: Decoder, transformers: ModuleType) -> "transformers.GPT2LMHeadModel":
    """The stock model with a copy of the decoder's weights. Raises `ConfigError` for attention that GPT-2 lacks."""
    config = decoder.config
    if config.attention != "softmax":
        raise ConfigError(f"GPT-2 has softmax attention, not {config.attention}")
    gpt2 = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=decoder.token_embedding.num_embeddings,
            n_positions=decoder.position_embedding.num_embeddings,
            n_embd=config.width,
            n_inner=config.mlp_width,
            n_layer=config.layers,
            n_head=config.heads,
            activation_function="gelu_new",
            layer_norm_epsilon=LAYER_NORM_EPS,
            initializer_range=config.init_std,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    gpt2.to(device=decoder.readout.weight.device, dtype=decoder.readout.weight.dtype)
    gpt2.load_state_dict(_views(decoder))
    return gpt2.eval()


def decoder_of_gpt2(gpt2: "transformers.PreTrainedModel") -> Decoder:
    """The decoder with a copy of the weights of a `GPT2LMHeadModel`, without its dropout; a read-out tied to the token
    embeddings becomes one of its own. Raises `ConfigError` for a model that the decoder cannot be."""
    require_config(
        gpt2.config,
        {
            "activation_function": "gelu_new",
            "layer_norm_epsilon": LAYER_NORM_EPS,
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        },
    )
    weights = {name: weight for name, weight in gpt2.state_dict().items() if not name.endswith(_UNUSED)}
    words = matrix_of(weights, "transformer.wte.weight")
    config = ModelConfig(
        kind="decoder",
        layers=gpt2.config.n_layer,
        heads=gpt2.config.n_head,
        width=words.shape[1],
        mlp_width=matrix_of(weights, "transformer.h.0.mlp.c_fc.weight").shape[1],
        init_std=gpt2.config.initializer_range,
        mask_embedding="trained",
    )
    decoder = Decoder(config, len(words), len(matrix_of(weights, "transformer.wpe.weight"))).to(words)
    copy_weights(weights, _views(decoder))
    return decoder


def _views(decoder: Decoder) -> dict[str, Tensor]:
    """`stock_views` of a decoder, in the shapes of GPT-2's weights."""
    views = stock_views(decoder, _STOCK_MODULES, "transformer.h")
    return {name: view.T if name.endswith(_TRANSPOSED) else view for name, view in views.items()}
