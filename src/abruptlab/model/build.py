"""The model of a configuration, of either kind."""

from abruptlab.config import RunConfig
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.task.vocabulary import Vocabulary

Model = Encoder | Decoder


def new_model(config: RunConfig) -> Model:
    """The model of a configuration, its weights not yet initialised."""
    vocabulary = Vocabulary.of(config.task)
    if config.model.kind == "decoder":
        return Decoder(config.model, vocabulary.decoder_size, config.places)
    return Encoder(config.model, vocabulary.size, config.places, columns=config.task.sizes[0][1])
