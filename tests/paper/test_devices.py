"""Every figure and table of an encoder's run that a CPU can make can be made on a GPU."""

import numpy as np
import pytest
import torch

from abruptlab.errors import AbruptlabError
from abruptlab.figures.save import arrays
from abruptlab.paper import FIGURES, TABLES, Findings
from abruptlab.run.pretrained import pretrained_run
from abruptlab.system.devices import computing_on

SPECS = {name: spec for name, spec in {**FIGURES, **TABLES}.items() if not spec.sweep and spec.kind == "encoder"}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", SPECS)
def test_a_gpu_does_what_a_cpu_does(name: str) -> None:
    each = []
    for device in ("cpu", "cuda"):
        with computing_on(device):
            try:
                each.append(arrays(Findings(pretrained_run("pocket"), matrices=32, train=64).of(SPECS[name].measure)))
            except AbruptlabError as error:
                each.append({"error": np.array(str(error))})
    cpu, gpu = each
    assert {key: values.shape for key, values in gpu.items()} == {key: values.shape for key, values in cpu.items()}
