"""What a decoder reads and writes: [masked X, SEP, X], each matrix flattened row by row.

The m·n entries of the masked matrix and SEP are the prompt, the m·n entries of the whole one the answer.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.errors import VocabularyError
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import Vocabulary


@checked
def prompts(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch prompt"]:
    """[masked X, SEP] of every matrix.

    Raises `VocabularyError`, on a CPU, where looking costs nothing, for another vocabulary than the matrices' own.
    """
    known = batch.observed
    if known.device.type == "cpu" and not vocabulary.encode(batch.values)[known].equal(batch.tokens[known].long()):
        raise VocabularyError(f"expected the vocabulary of the matrices' own task, got {vocabulary}")
    separator = torch.full_like(batch.tokens[:, :1], vocabulary.separator)
    return torch.cat([batch.tokens, separator], 1)


@checked
def sequences(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch place"]:
    """[masked X, SEP, X] of every matrix. Raises as `prompts`."""
    return torch.cat([prompts(batch, vocabulary), vocabulary.encode_known(batch.values)], 1)
