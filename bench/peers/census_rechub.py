"""MMoE of torch-rechub, by its own MTLTrainer, on the rows of Census-Income that `experiments/census.toml` uses.

    daogou import census-income path/to/census-income --out runs/data/census
    pip install torch torch-rechub pandas pyarrow scikit-learn
    python bench/peers/census_rechub.py runs/data/census [SEED ...]

The test file is the original one; a tenth of the train file, at random by the seed, validates. The budget is that of
`daogou`: batches, epochs and patience are its defaults, the best epoch by the validation AUC of the first task counts, and
the test file is read once per run. Prints one line per run, then means and half 95 % intervals by Student's t.
"""

import os
import statistics
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.multi_task import MMOE
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

TASKS = ["income", "never_married"]
BATCH, EPOCHS, PATIENCE = 1024, 6, 1
# torch-rechub's size for this log, and the default of `daogou`.
SIZES = {
    "mmoe_8x16": dict(dim=4, experts=8, expert=[16], tower=[8]),
    "mmoe_4x128": dict(dim=8, experts=4, expert=[128, 64], tower=[32]),
}
# Quantiles of Student's t at 97.5 %, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def read(directory):
    """Train and test rows as codes of their columns' values, as the train file has them; 0 is everything else."""
    users = pd.read_parquet(os.path.join(directory, "users.parquet")).set_index("user_id")
    train, test = (
        pd.read_parquet(os.path.join(directory, name)).join(users, on="user_id")
        for name in ["impressions.parquet", "test.parquet"]
    )
    codes = {}
    for column in users.columns:
        known = {value: code for code, value in enumerate(sorted(train[column].astype(str).unique()), 1)}
        codes[column] = len(known) + 1
        for rows in [train, test]:
            rows[column] = rows[column].astype(str).map(known).fillna(0).astype(np.int64)
    return train, test, codes


def run(train, test, codes, size, seed):
    random = np.random.RandomState(seed)
    torch.manual_seed(seed)
    shuffled = random.permutation(len(train))
    cut = len(train) // 10
    split = {"train": train.iloc[shuffled[cut:]], "valid": train.iloc[shuffled[:cut]], "test": test}
    x = {name: {c: rows[c].to_numpy() for c in codes} for name, rows in split.items()}
    y = {name: rows[TASKS].to_numpy(np.int64) for name, rows in split.items()}
    batches, validation, tests = DataGenerator(x["train"], y["train"]).generate_dataloader(
        x_val=x["valid"], y_val=y["valid"], x_test=x["test"], y_test=y["test"], batch_size=BATCH, num_workers=0
    )
    model = MMOE(
        [SparseFeature(column, vocab_size=n, embed_dim=size["dim"]) for column, n in codes.items()],
        ["classification"] * len(TASKS),
        n_expert=size["experts"],
        expert_params={"dims": size["expert"]},
        tower_params_list=[{"dims": size["tower"]} for _ in TASKS],
    )
    trainer = MTLTrainer(
        model,
        ["classification"] * len(TASKS),
        n_epoch=EPOCHS,
        earlystop_patience=PATIENCE,
        model_path=tempfile.mkdtemp(),
    )
    began = time.time()
    trainer.fit(batches, validation)
    seconds = time.time() - began
    # The trainer goes back to the best weights only where patience ran out.
    if trainer.early_stopper.best_weights is not None:
        model.load_state_dict(trainer.early_stopper.best_weights)
    model.eval()
    with torch.no_grad():
        answers = np.concatenate([model(rows).numpy() for rows, _ in tests])
    found = {"seconds": seconds}
    for task, name in enumerate(TASKS):
        truth, answer = y["test"][:, task], answers[:, task].astype(np.float64)
        found[f"{name}.auc"] = roc_auc_score(truth, answer)
        found[f"{name}.logloss"] = log_loss(truth, np.clip(answer, 1e-7, 1 - 1e-7))
    return found


def main():
    directory, seeds = sys.argv[1], [int(seed) for seed in sys.argv[2:]] or [1, 2, 3, 4, 5]
    train, test, codes = read(directory)
    for name, size in SIZES.items():
        runs = []
        for seed in seeds:
            with open(os.devnull, "w") as quiet:
                sys.stdout, stdout = quiet, sys.stdout
                runs.append(run(train, test, codes, size, seed))
                sys.stdout = stdout
            print(name, seed, {key: round(value, 4) for key, value in runs[-1].items()}, flush=True)
        for key in runs[0]:
            values = [found[key] for found in runs]
            half = STUDENT[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0
            print(f"RESULT {name} {key} {statistics.mean(values):.4f} ± {half:.4f}", flush=True)


main()
