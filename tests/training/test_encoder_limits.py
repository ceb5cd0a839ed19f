"""Encoders of other families, without padding token or with few positions: both modes read the same tokens."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, GPT2Config, MPNetConfig, PreTrainedTokenizerFast, RobertaConfig

from bench.training.encoders import load_encoder

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = ["good", "film", "a", "very", "sad", "day", "!"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
COMMON = {"vocab_size": len(SPECIAL) + len(WORDS), "pad_token_id": 1, "max_position_embeddings": 22, **SIZES}
CONFIGS = {
    "bert": (BertConfig(**COMMON), 22),
    "roberta": (RobertaConfig(**COMMON), 20),  # positions are counted from after the padding's, 1
    "mpnet": (MPNetConfig(**COMMON), 20),
    "gpt2": (GPT2Config(vocab_size=COMMON["vocab_size"], n_embd=16, n_layer=2, n_head=2, n_positions=22), 22),
}
LINES = ["good film", "a very sad day " * 30, "", "good ! " * 5]


@pytest.fixture(params=[(kind, pad) for kind in CONFIGS for pad in (True, False)], ids=str)
def folder(request, tmp_path):
    """A tiny model whose tokenizer names no longest length and, in half of the cases, no padding token."""
    kind, has_pad = request.param
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | (
        {"pad_token": "<pad>"} if has_pad else {}
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.save_pretrained(tmp_path)
    torch.manual_seed(0)
    AutoModel.from_config(CONFIGS[kind][0]).save_pretrained(tmp_path)
    return tmp_path, CONFIGS[kind][1]


def test_texts_are_cut_at_the_positions_of_the_model_in_both_modes(folder):
    path, positions = folder
    tuned, frozen = load_encoder(str(path), 128), load_encoder(f"{path}:frozen", 128)
    inputs = tuned.inputs(tuned.tokenise(LINES))
    assert inputs.lengths.tolist() == [4, positions, 2, 12]
    network = tuned.classifier(2, 0.0, torch.Generator().manual_seed(0))
    assert network(**inputs.batch(np.arange(4))).logits.isfinite().all()
    assert frozen.longest == frozen.sentences.max_seq_length == tuned.longest == positions


def test_a_frozen_embedding_is_the_mean_over_the_same_tokens_whatever_the_company(folder):
    path, _ = folder
    encoder, model = load_encoder(f"{path}:frozen", 128), AutoModel.from_pretrained(path).eval()
    tokens = load_encoder(str(path), 128).tokenise(LINES)
    for row, got in enumerate(encoder.embed(LINES)):
        ids = tokens["ids"][tokens["offsets"][row] : tokens["offsets"][row + 1]].astype(np.int64)
        with torch.no_grad():
            mean = model(input_ids=torch.from_numpy(ids)[None]).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(got, mean / np.linalg.norm(mean), atol=1e-5)
