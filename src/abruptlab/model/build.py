"""The model of a configuration, of either kind."""

from abruptlab.config import RunConfig
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder

Model = Encoder | Decoder


def new_model(config: RunConfig) -> Model:
    """The model of a configuration, its weights not yet initialised."""
    objective = config.objective
    if config.model.causal:
        return Decoder(config.model, objective.vocabulary_size, objective.places)
    columns = objective.segments[0].columns
    return Encoder(config.model, objective.vocabulary_size, objective.places, columns)
