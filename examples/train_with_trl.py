"""Train with TRL: a judge's ranks as the reward function of TRL's GRPOTrainer.

    pip install '.[trl]'
    RANKER_JUDGE=openai/gpt-5-mini python examples/train_with_trl.py

`rank_reward` is all that is Ranker's here; docs/integrations/trl.md tells its options and what it logs. The judge sees
the rubric and the completions of a prompt, all of them in one call. Stop it when you have seen enough; it needs a GPU
to be quick.
"""

from __future__ import annotations

import os

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from ranker.integrations.trl import rank_reward

TOPICS = ("rain", "salt", "a door", "noon", "a spoon", "the sea", "a letter", "snow")

reward = rank_reward(
    judge=os.environ.get("RANKER_JUDGE", "local"),
    rubric="At most eight words; the image counts, not the rhyme.",
    max_cost_usd=5 if "RANKER_JUDGE" in os.environ else None,  # of the whole run
)
trainer = GRPOTrainer(
    model="Qwen/Qwen2.5-0.5B-Instruct",
    reward_funcs=reward,
    train_dataset=Dataset.from_list(
        [{"prompt": [{"role": "user", "content": f"Write about {topic}."}]} for topic in TOPICS]
    ),
    args=GRPOConfig(
        output_dir="trl-run",
        num_generations=8,
        max_completion_length=64,
        max_steps=100,
        logging_steps=1,
        report_to="none",
    ),
)
trainer.train()
trainer.save_model("trl-run/final")
