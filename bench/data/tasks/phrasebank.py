"""Sentiment of a sentence of financial news, from an investor's view."""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

INFO = TaskInfo(
    name="phrasebank",
    title="Sentiment of financial news",
    label_names=("negative", "neutral", "positive"),
    max_length=128,
    licence="data: CC BY-NC-SA 3.0; answers: none stated; not redistributed here",
    citation="Malo et al. 2014, Good debt or bad debt (Financial PhraseBank, 75 % agreement), JASIST; answers: "
    "Vellore, LLMSentiment (GitHub)",
    sources=(
        Published(
            repository=Repository(
                repo="Abhi-Vellore/LLMSentiment",
                commit="cb435cf6a0c84f601265a9d8025ded7eb6f95a0e",
                files={
                    "texts": (
                        "data/unprocessed/Sentences_75Agree.txt",
                        "a7ca39fb9dc60aed1c323ee635494aed4acdfc05e0349a9e74367502325303a4",
                    ),
                    "answers": (
                        "data/processed/processed_sentence_data_all_scores.csv",
                        "a5bcaea036a84ddc68b6f0aff5c0c9012b85857f4a976b8842ad22519892b50d",
                    ),
                },
            ),
            texts=("texts",),
            text="text",
            gold="gold",
            id="fpb75-{row:04}",
            classes={"1": "negative", "2": "negative", "3": "neutral", "4": "positive", "5": "positive"},
            drop_repeats=True,
            labellers={
                "gpt-3.5-turbo/zero": Answers("GPT 3.5 Score", ("answers",), same={"score": "gold"}),
                "gpt-4/zero": Answers("GPT 4.0 Score", ("answers",), same={"score": "gold"}),
                "llama-7b-chat/zero": Answers("Llama 7B Score", ("answers",), same={"score": "gold"}),
            },
        ),
    ),
    note="3448 sentences without repeated ones. The LLMs rated 1 to 5 (1 and 2 are negative, 4 and 5 positive) and"
    " saw the sentences in lower case without stop words, so without negations; the texts here are whole.",
)
