"""Fine-tune a checkpoint on recorded demonstrations.

usage: python docs/examples/05_train.py CHECKPOINT FOLDER_OF_DEMONSTRATIONS OUT [UPDATES]
"""

import sys
from pathlib import Path

from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.run_setup import Bags, start_finetuning

checkpoint, demonstrations, out = (Path(argument) for argument in sys.argv[1:4])
updates = int(sys.argv[4]) if len(sys.argv) > 4 else 500
before = read_checkpoint(checkpoint)
print(f"{checkpoint}: {before.config.preset}, {before.step} updates, knows {len(before.tasks.names)} tasks")

trainer = start_finetuning(
    checkpoint,
    Bags(target=[demonstrations]),  # prior=[...] mixes pre-training episodes in, as PTR does
    out,
    [f"schedule.steps={before.step + updates}"],
)
outcome = trainer.run("fine-tuning")
print(f"{outcome.checkpoint}: {outcome.step} updates, {outcome.seconds:.0f} s")
