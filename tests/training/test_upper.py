"""Mode topK: the lower layers once, the upper ones trained; together they are the whole encoder."""

import shutil

import numpy as np
import pytest
import torch
import transformers

import bench
from bench.core.errors import UsageError
from bench.store.records import read_records
from bench.training import upper
from bench.training.encoders import load_encoder
from bench.training.inputs import HiddenInputs, TokenInputs

SHAPE = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
DISTIL = {"vocab_size": 50, "dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 32}
MODELS = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**SHAPE)),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**SHAPE, pad_token_id=1)),
    "mpnet": lambda: transformers.MPNetModel(transformers.MPNetConfig(**SHAPE, pad_token_id=1)),
    "distilbert": lambda: transformers.DistilBertModel(transformers.DistilBertConfig(**DISTIL)),
}


def deberta(**changes):
    relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
    return transformers.DebertaV2Model(transformers.DebertaV2Config(**SHAPE, **relative, **changes))


WHOLE_ONLY = {  # something follows the stack or lies beside it
    "roberta-prelayernorm": lambda: transformers.RobertaPreLayerNormModel(
        transformers.RobertaPreLayerNormConfig(**SHAPE)
    ),
    "xlm-roberta-xl": lambda: transformers.XLMRobertaXLModel(transformers.XLMRobertaXLConfig(**SHAPE)),
    "deberta with a convolution": lambda: deberta(conv_kernel_size=3, conv_act="gelu"),
    "narrow electra": lambda: transformers.ElectraModel(transformers.ElectraConfig(**SHAPE, embedding_size=8)),
    "esm": lambda: transformers.EsmModel(transformers.EsmConfig(**SHAPE, pad_token_id=1, mask_token_id=4)),
}


def with_drawn_weights(make):
    """A model whose layers all matter: fresh norms and biases would do nothing."""
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for weights in model.parameters():
            weights.normal_(std=0.3)
    return model


@pytest.mark.parametrize("kind", [*MODELS, "deberta"])
def test_encoders_that_can_be_cut_are(kind):
    upper.check_parts(with_drawn_weights({**MODELS, "deberta": deberta}[kind]), 2, kind)


@pytest.mark.parametrize("kind", WHOLE_ONLY)
def test_encoders_whose_parts_are_not_the_whole_are_refused(kind):
    with pytest.raises(UsageError, match=f"'{kind}:top2': .*Model cannot be cut .* use '{kind}' or '{kind}:frozen'"):
        upper.check_parts(with_drawn_weights(WHOLE_ONLY[kind]), 2, kind)


def test_an_encoder_that_cannot_be_cut_is_refused_before_anything_is_computed(tmp_path, tiny_bert):
    shutil.copytree(tiny_bert, tmp_path / "e")
    config = transformers.RobertaPreLayerNormConfig(**SHAPE | {"vocab_size": 200})
    transformers.RobertaPreLayerNormModel(config).save_pretrained(tmp_path / "e")
    encoder = load_encoder(f"{tmp_path / 'e'}:top2", 16)
    for use in (
        lambda: encoder.lower(encoder.tokenise(["a good film"])),
        lambda: encoder.classifier(2, 0.1, torch.Generator()),
    ):
        with pytest.raises(UsageError, match="RobertaPreLayerNormModel cannot be cut"):
            use()


@pytest.mark.parametrize("kind", MODELS)
def test_the_two_parts_together_are_the_whole_encoder(kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    pad = model.config.pad_token_id or 0
    lengths = np.array([3, 7, 5, 1])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(0).integers(5, 50, offsets[-1]).astype(np.int32)
    tokens = TokenInputs(ids, offsets, pad)
    rows = np.array([2, 0, 1, 3])
    batch = tokens.batch(rows)
    with torch.no_grad():
        whole = model(**batch).last_hidden_state
        for top in (1, 2, 3):
            hidden = upper.activations(upper.lower_part(model, top, kind), ids, offsets, "cpu")
            assert (hidden.dtype, hidden.shape) == (np.float16, (16, 16))
            part = upper.upper_part(model, top, kind).eval()
            assert not any(part is other for other in model.modules())
            again = part(**HiddenInputs(hidden, offsets).batch(rows)).last_hidden_state
            inside = batch["attention_mask"].bool()
            assert (again - whole)[inside].abs().max() < 0.01
            assert torch.nn.functional.cosine_similarity(again[inside], whole[inside]).min() > 0.9999
    upper_names = {name for name, _ in part.named_parameters()}
    assert not any("word_embeddings" in name for name in upper_names)


@pytest.mark.parametrize(
    ("selector", "complaint"),
    [
        (
            "minilm:top6",
            "'minilm:top6': it has 6 layers, so :top1 to :top5 train a part of it, and 'minilm' trains",
        ),
        ("minilm:top0", r"'minilm:top0': unknown mode 'top0'; the modes are ':frozen' and"),
        ("minilm:upper", r"unknown mode 'upper'"),
    ],
)
def test_wrong_modes_are_refused(selector, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_encoder(selector, 16)


def test_an_encoder_without_a_plain_stack_is_refused():
    with pytest.raises(UsageError, match=r"'odd:top1': Linear cannot be cut .* use 'odd' or 'odd:frozen'"):
        upper.upper_part(torch.nn.Linear(2, 2), 1, "odd")


def test_the_lower_layers_are_computed_once_for_all_methods(tmp_path):
    asked = {"tasks": "tweets", "noise": "sn@0.3", "encoder": "minilm:top2", "seeds": "1", "limit": 40, "epochs": 2}
    bench.run_grid(methods="plain,co-teaching,npc", results=tmp_path, **asked)
    uses, trained = {}, {}
    for record in read_records(tmp_path):
        assert record.status == "done", record.error
        assert record.key.encoder_mode == "top2"
        trained[record.key.method] = record.parameters
        for use in record.stages:
            if use.name == "lower layers":
                uses.setdefault(use.hash, []).append(use.reused)
    assert len(uses) == 3  # splits
    assert all(sorted(reused) == [False, True, True] for reused in uses.values())
    assert 0 < trained["plain"] < sum(p.numel() for p in load_encoder("minilm", 16).model.parameters()) / 2
