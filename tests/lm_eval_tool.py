"""lm-eval itself, on models that are made here: tiny, with random weights, and no download.

`python tests/lm_eval_tool.py FOLDER` writes what tests/external/lm_eval_samples holds, in an environment that
has lm_eval."""

import json
import subprocess
import sys
from pathlib import Path

ITEMS = 6
TASKS = {
    "parity": """
        task: parity
        dataset_path: json
        dataset_kwargs: {data_files: {test: items.json}}
        test_split: test
        output_type: multiple_choice
        doc_to_text: "{{question}}"
        doc_to_choice: ["even", "odd number"]
        doc_to_target: "{{answer}}"
        metric_list: [{metric: acc}, {metric: acc_norm}]
    """,
    "sums": """
        task: sums
        dataset_path: json
        dataset_kwargs: {data_files: {test: items.json}}
        test_split: test
        output_type: generate_until
        generation_kwargs: {until: ["\\n"], max_gen_toks: 3}
        doc_to_text: "{{question}}"
        doc_to_target: "{{answer}}"
        metric_list: [{metric: exact_match}]
        filter_list:
          - {name: strict, filter: [{function: take_first}]}
          - {name: lower, filter: [{function: lowercase}, {function: take_first}]}
    """,
}


def write_tasks(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    items = [{"question": f"{n} is", "answer": n % 2, "length": len(f"{n}")} for n in range(7, 7 + ITEMS)]
    (folder / "items.json").write_text("\n".join(map(json.dumps, items)))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text.replace("items.json", str(folder / "items.json")))


def write_model(folder: Path, seed: int) -> None:
    """A causal model of some thousand weights and its tokenizer of characters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    characters = ["<end>", *map(chr, range(32, 127)), "\n"]
    tokenizer = Tokenizer(models.WordLevel({c: k for k, c in enumerate(characters)}, unk_token="<end>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(characters), "n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 1}
    config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, initializer_range=1.0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)


def samples(folder: Path, models: list[str]) -> list[Path]:
    """Of models such as `tuned-seed0`, all tasks each: written to folder/results as lm-eval lays it out."""
    write_tasks(folder / "tasks")
    for seed, name in enumerate(models):
        write_model(folder / name, seed)
        subprocess.run(
            [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={name}",
             "--tasks", ",".join(TASKS), "--include_path", "tasks", "--device", "cpu", "--batch_size", "1",
             "--log_samples", "--output_path", "results"],
            cwd=folder, check=True,
        )  # fmt: skip
    return sorted((folder / "results").rglob("samples_*.jsonl"))


if __name__ == "__main__":
    for path in samples(
        Path(sys.argv[1]).resolve(), ["base-seed0", "base-seed1", "tuned-seed0", "tuned-seed1"]
    ):
        print(path)
