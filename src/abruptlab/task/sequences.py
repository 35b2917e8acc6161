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
    """[masked X, SEP] of every matrix. Raises `VocabularyError` for another vocabulary than the matrices' own."""
    if not vocabulary.encode(batch.values)[batch.observed].equal(batch.tokens[batch.observed].long()):
        raise VocabularyError(f"expected the vocabulary of the matrices' own task, got {vocabulary}")
    return sequences_known(batch, vocabulary)[:, : batch.tokens.shape[1] + 1]


@checked
def sequences(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch place"]:
    """[masked X, SEP, X] of every matrix. Raises as `prompts`."""
    prompts(batch, vocabulary)
    return sequences_known(batch, vocabulary)


def sequences_known(batch: Batch, vocabulary: Vocabulary) -> Int[Tensor, "batch place"]:
    """`sequences` of matrices that are known to be of the vocabulary: unchecked, so nothing waits for the device."""
    separator = torch.full_like(batch.tokens[:, :1], vocabulary.separator)
    return torch.cat([batch.tokens, separator, vocabulary.encode_known(batch.values)], 1)
