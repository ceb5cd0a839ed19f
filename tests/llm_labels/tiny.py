"""Small stand-ins: a random causal LM on disk, a task of twelve texts, a chat server that misbehaves on purpose."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from bench.core.texts import Texts
from bench.data.task import Gold, TaskData
from bench.data.tasks import TaskInfo
from llm_labels.prompts import text_hash

NAMES = ("negative", "positive")
WORDS = ("good", "bad", "lovely", "awful", "rain", "sun", "tea", "bus", "late", "early")


def tiny_task(name: str = "moods", sizes: tuple[int, int, int] = (8, 4, 6), seed: int = 0) -> TaskData:
    """A task of short random texts; gold is random too."""
    rng = np.random.default_rng(seed)
    splits = {
        split: Texts(
            tuple(map(str, range(n))), tuple(f"{i} {' '.join(rng.choice(WORDS, 3 + i % 4))} {split}" for i in range(n))
        )
        for split, n in zip(("train", "valid", "test"), sizes, strict=True)
    }
    gold = Gold(*(np.arange(n) % 2 for n in sizes))
    return TaskData(
        name=name,
        info=TaskInfo(name, name, NAMES, 128, "none", ""),
        label_names=NAMES,
        **splits,
        gold=gold,
        votes=None,
        columns={},
        rows={split: np.arange(len(texts)) for split, texts in splits.items()},
        full_fingerprint={split: texts.fingerprint for split, texts in splits.items()},
    )


def prompt_file(folder: Path, task: TaskData, rows: tuple[int, ...] = (1, 2)) -> Path:
    """A prompt file with examples of the task's train split."""
    lines = [
        f"task: {task.info.name}",
        "instruction: Choose the mood.",
        "labels:",
        "  - {name: negative, word: negative, code: NEG}",
        "  - {name: positive, word: very positive, code: POS}",
        "examples:",
    ]
    for row in rows:
        text = task.train.texts[row]
        lines.append(f'  - {{row: {row}, label: {NAMES[row % 2]}, text_hash: "{text_hash(text)}"}}')
    path = folder / "moods.yaml"
    path.write_text("\n".join(lines))
    return path


def tiny_model(folder: Path, seed: int = 0) -> Path:
    """A random Llama of 2 layers with a byte-level tokenizer, saved as a transformers folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(letters),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=1,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


class ChatServer:
    """What a test sees of the server: what was asked, how often, and by how many at once."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[dict] = []
        self.times: list[float] = []
        self.keys: set[str] = set()
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    @property
    def texts(self) -> Counter:
        """How often each text was asked about."""
        return Counter(text_of(body) for body in self.asked)


def text_of(body: dict) -> str:
    """The text that a request asks about: the last but one line of the message."""
    return body["messages"][-1]["content"].splitlines()[-2].removeprefix("Text: ")


def reply(content: str | None, **choice: object) -> dict:
    """A well-formed chat completion."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


@contextmanager
def chat_server(behave):
    """A real HTTP server on 127.0.0.1. `behave(text, times_asked)` gives (status, body[, headers[, delay]])."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.state._lock:
                server.state.asked.append(body)
                server.state.times.append(time.monotonic())
                server.state.keys.add(self.headers.get("Authorization", ""))
                server.state._now += 1
                server.state.most_at_once = max(server.state.most_at_once, server.state._now)
                count = server.state.texts[text_of(body)]
            try:
                status, content, *rest = behave(text_of(body), count)
                headers, delay = rest[0] if rest else {}, rest[1] if len(rest) > 1 else 0.0
                time.sleep(delay)
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with server.state._lock:
                    server.state._now -= 1

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
