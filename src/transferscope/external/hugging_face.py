"""What a model of Hugging Face's Trainer says of the test items when its training has ended, as a file of
results."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax
from transformers import Trainer, TrainerCallback

from transferscope.external.writing import new_file, write_results


class WritePredictions(TrainerCallback):
    """`trainer.add_callback(WritePredictions(path, trainer, test_set, strategy="full", seed=3))`.

    The model gives logits [n, C] for labels that are whole numbers, one number for labels that are not. run:
    strategy, seed and what else `write_results` takes. Raises RequestError."""

    def __init__(self, path: str | Path, trainer: Trainer, dataset: Any, **run: Any):
        self.path, self.trainer, self.dataset, self.run = new_file(path), trainer, dataset, run

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        found = self.trainer.predict(self.dataset)
        if not state.is_world_process_zero:
            return
        outputs, labels = np.asarray(found.predictions, dtype=np.float64), np.asarray(found.label_ids)
        if np.issubdtype(labels.dtype, np.floating):
            write_results(self.path, truths=labels.ravel(), predictions=outputs.ravel(), **self.run)
        else:
            write_results(self.path, labels=labels, probabilities=softmax(outputs, axis=1), **self.run)
