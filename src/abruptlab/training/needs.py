"""The least memory that a run takes, reckoned without making anything."""

from abruptlab.config import RunConfig
from abruptlab.task.counter import BLOCK
from abruptlab.task.matrices import ENTRY

STATES = {"adam": 4, "adamw": 4, "sgd": 2, "muon": 3}  # weight, gradient, and what the optimiser keeps of a parameter


def parameter_count(config: RunConfig) -> int:
    """The parameters of a run's model, but for norms and biases: without making it."""
    model, objective = config.model, config.objective
    block = 4 * model.width**2 + 2 * model.width * model.mlp_width
    read_out = objective.vocabulary_size if model.causal else 1
    return model.layers * block + model.width * (objective.vocabulary_size + objective.places + read_out)


def training_needs(config: RunConfig, part: int) -> int:
    """The least memory, in bytes, in which the run can be trained: the model, its optimiser, the batches that are drawn
    at once, and the activations of `part` examples, which a pass goes through at once."""
    training, model = config.training, config.model
    state = 4 * STATES[training.optimizer] * parameter_count(config)
    batch = BLOCK * training.batch * config.places * ENTRY
    activations = 2 * part * config.places * model.layers * (4 * model.width + model.mlp_width)  # in bfloat16
    return state + batch + activations
