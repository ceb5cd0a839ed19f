"""The numbered rules of `llm_labels.decode`: what each reads, and above all what none reads."""

from llm_labels.decode import read
from llm_labels.prompts import Label


def classes(*names, codes=("",) * 99):
    return tuple(Label(name=name, word=name, code=code) for name, code in zip(names, codes, strict=False))


def check(answers, labels):
    """`answers` maps an answer to the name of its class, or to None."""
    names = [label.name for label in labels]
    got = {answer: (names[found] if (found := read(answer, labels).label) >= 0 else None) for answer in answers}
    assert got == answers


MOODS = classes("negative", "positive")
STARS = classes("1", "2", "3", "4", "5")
YES_NO = classes("no", "yes")
TOXIC = classes("toxic", "non-toxic")


def test_rule_1_a_thought_is_no_answer():
    thoughts = [
        "<think>The tweet sounds positive at first sight.</think>",
        "<think>\nlooks positive\nLabel: positive\n</think>\n\n",
        "Okay, the user wants positive...</think>",  # the chat template opened it
        "<thinking>positive</thinking>",
        "<Thinking>\npositive\n</Thinking>\n",
        "<THINK>positive</THINK>",
        "< think >positive</ think >",
        "<think time=3>positive</think>",
        "<reasoning>positive</reasoning>\n",
        "<thought>positive</thought>",
        "<internal_thoughts>positive</internal_thoughts>",
        "<inner_monologue>positive</inner_monologue>",
        "<reflection>positive</reflection>",
        "<scratchpad>positive</scratchpad>",
        "<analysis>positive</analysis>",
        "<seed:think>positive</seed:think>",
        "<|think|>positive<|/think|>",
        "<|begin_of_thought|>positive<|end_of_thought|>",
        "[THINK]positive[/THINK]",
        "[thinking] positive [/thinking]",
        "◁think▷positive◁/think▷",
        "<unused94>thought\npositive<unused95>",
        '<details type="reasoning">\npositive</details>\n',
        "&lt;think&gt;positive&lt;/think&gt;",
        "<think>a <think>b</think>",
        "<think>I close with </think>, positive</think>",
        "<think>positive</thinking>",
        "<think>positive</think><reasoning>positive</reasoning>",
        "<|channel|>analysis<|message|>positive<|end|><|start|>assistant<|channel|>final<|message|>",
        "analysisThe tweet is positive.assistantfinal",
    ]
    check({f"{thought}negative": "negative" for thought in thoughts}, MOODS)
    for thought in thoughts:
        assert read(f"{thought}negative", MOODS, "official").label == 0, thought


def test_rule_1_a_thought_without_an_end_is_no_answer():
    for answer in (
        "<think>positive",
        "<think>\npositive\n\nAnswer: positive",
        "[THINK]positive",
        "positive <think> but",
    ):
        assert read(answer, MOODS) == (-1, "thought without an end")
    assert read("<|channel|>analysis<|message|>positive", MOODS) == (-1, "thought without an end")
    assert read("<think>positive</think>", MOODS) == (-1, "thought only")
    assert read("looks positive</think>\n", MOODS) == (-1, "thought only")
    assert read("", MOODS) == (-1, "empty")


def test_rule_1_an_answer_before_a_thought_counts_where_none_follows():
    check(
        {
            "negative\n<think>positive</think>": "negative",
            "<think>a</think><answer>positive</answer><reasoning>not negative</reasoning>": "positive",
            "<think></think>\n\npositive": "positive",
            "</think>\n\npositive": "positive",
            "<think>" + "positive " * 5_000 + "</think>negative": "negative",
        },
        MOODS,
    )


def test_rule_1_a_refusal_is_no_answer():
    assert read("[the model refused: No.]", YES_NO) == (-1, "refused")
    assert read("[the server refused the request: content filter]", classes("filter", "content")) == (-1, "refused")


def test_rule_2_json_and_tags():
    check(
        {
            '{"label": "positive"}': "positive",
            '```json\n{"label": "positive"}\n```': "positive",
            '{"sentiment": "positive", "confidence": 0.9}': "positive",
            'In JSON:\n```json\n{"predicted_label": "positive",\n "reason": "x"}\n```\nHope it helps': "positive",
            '{"text": "negative things", "label": "positive"}': "positive",
            '{"mood": "positive", "reason": "not negative"}': "positive",
            '{"label": ["positive"]}': "positive",
            '[{"label": "positive", "score": 0.98}]': "positive",
            '["positive"]': "positive",
            '{"label": "positive", "reason": "the word not nega': "positive",  # the tokens ran out
            "{'label': 'positive', 'reason': 'not negative'}": "positive",
            '<think>x</think>\n{"label": "negative"}': "negative",
            '{"label": ["positive", "negative"]}': None,
            '{"label": "positive", "label": "negative"}': None,
            '{"label": "unknown", "reason": "positive words"}': None,
            '{"label": null, "reason": "positive words"}': None,
            '{"label": 1}': None,  # no prompt says what 1 is
            "<answer>positive</answer>": "positive",
            "Not negative, so <answer>\npositive\n</answer>": "positive",
            "<label>positive</label>": "positive",
            r"$\boxed{\text{positive}}$": "positive",
            r"\boxed{positive}": "positive",
            "<answer>positive</answer> <answer>negative</answer>": None,
        },
        MOODS,
    )
    ids = classes("negative", "positive", codes=("0", "1"))
    check({'{"label": 1}': "positive", '{"label": "1"}': "positive", '{"label": 2}': None, "[1]": "positive"}, ids)
    check({'{"rating": 4}': "4", '{"rating": "4/5"}': "4", '{"rating": 4.5}': None, '{"label": "4-5"}': None}, STARS)
    check({'{"label": true}': "true", "True": "true", "False. It is not.": "false"}, classes("false", "true"))
    check({'{"label": true}': None, '{"answer": "no"}': "no"}, YES_NO)
    check({'{"toxic": false}': None}, TOXIC)


def test_rule_3_lines_without_markdown_and_announcements():
    good = [
        "Answer:\npositive", "### Answer\n\npositive", "Label:\n\n**positive**", "Sure! Here is the label:\n\npositive",
        "**positive**", '"positive"', "'positive'", "“Positive”", "«positive»", "`positive`", "```\npositive\n```",
        "> positive", "- positive", "1. positive", "a) positive", "# positive", "(positive)", "[positive]", "POSITIVE!",
        "positive</s>", "positive<|im_end|>", "<b>positive</b>", "Positive 😀", "\ufeffpositive", "positive\r\nbecause",
        "positive\nText: bad food\nLabel: negative",
    ]  # fmt: skip
    check(dict.fromkeys(good, "positive"), MOODS)
    check({"text": "text", "```json\njson\n```": "json"}, classes("text", "json"))
    check({"answer": "answer", "question": "question"}, classes("answer", "question"))
    check({"sentiment": "sentiment", "topic: sentiment": "sentiment"}, classes("sentiment", "topic"))
    check({"reasoning": "reasoning"}, classes("reasoning", "knowledge"))


def test_rule_3_the_words_of_the_prompt():
    mood = {"answer_name": "Mood of the writer", "text_name": "Review"}
    assert read("Mood of the writer: positive", MOODS, **mood).label == 1
    assert read("It is nice.\nReview: bad food\nMood of the writer: negative", MOODS, **mood).label == -1


def test_rules_4_and_5_alone_and_stated():
    good = [
        "Label: positive.", "label=positive", "Label → positive", "Label - positive", "**Label**: **Positive**",
        "Sentiment: positive", "The sentiment is positive.", "The answer is: positive", "My answer would be positive",
        "The correct label is: **positive**", "I'd classify it as positive.", "So the label of this tweet is positive",
        "The author likes it.\n\nAnswer: positive", "Not negative.\nFinal answer: positive",
    ]  # fmt: skip
    check(dict.fromkeys(good, "positive"), MOODS)
    check(
        {
            "The tweet sounds positive at first.\nFinal answer: negative": "negative",
            "Answer: positive\nFinal answer: negative": None,
            "positive\nnegative": None,
            "1. positive\n2. negative": None,
            "The incorrect label is: positive": None,
            "I wouldn't classify it as positive.": None,
            "Label: positive or negative": None,
            "it seems bad\npositive": None,  # the prompt asks for the label on the first line
        },
        MOODS,
    )
    check({"+": "+", " -\n": "-", "± ": None}, classes("-", "+"))


def test_rule_6_leading():
    check(
        {
            "No, it is not.": "no",
            "No it is not": "no",
            "No. It isn't.": "no",
            "no - it is not": "no",
            "Answer: No, because it is not": "no",
            "The answer is no": "no",
            "I would say no.": "no",
            "Yes! It is.": "yes",
            "Yes\nThere is no doubt": "yes",
            "Yes, it is not spam": None,
            "Yes, but no": None,
            "No. Yes would be wrong.": None,
            "yes or no": None,
            "Yes/No": None,
            "not yes": None,
            "not no": None,
            "There is no doubt that it is": None,
            "I cannot say no": None,
            "It is not.": None,
            "I don't know": None,
            "Nope": None,
        },
        YES_NO,
    )
    check({"Yes, maybe": None, "maybe yes": None, "Maybe.": "maybe"}, classes("yes", "no", "maybe"))
    check(
        {
            "Positive. The author is not complaining.": "positive",
            "Positive (95% confidence)": "positive",
            "Positive because it is not bad": "positive",
            "positive, not negative": None,
            "positive, but not really": None,
            "Positive: not at all": None,
        },
        MOODS,
    )


def test_rule_7_named():
    check(
        {
            "It is a positive tweet.": "positive",
            "somewhat positive": "positive",
            "positively": None,
            "Is it positive?": None,
            "positive or negative?": None,
        },
        MOODS,
    )
    letters = classes("a", "b", "c")
    check(
        {
            "B": "b", "(B)": "b", "b.": "b", "B) because": "b", "Option B": "b", "The answer is B.": "b",
            "B: a tweet": "b", "I choose B.": "b", "A good movie": None, "A or B": None, "A, B": None,
            "vitamin C": None,
        },
        letters,
    )  # fmt: skip
    rest = classes("none", "other", "person")
    check(
        {"None of them": None, "None.": "none", "on the other hand, a person": "person", "Label: other": "other"}, rest
    )
    assert read("The user says positive things", MOODS).label == 1
    assert read("The user says positive things", MOODS, cut=True) == (-1, "no class named")
    assert read("positive\nThe user says", MOODS, cut=True) == (1, "alone")


def test_rules_8_and_9_several_and_denied():
    for answer in (
        "mixed: positive and negative",
        "positive or negative",
        "not negative but positive",
        "positive\nnegative",
    ):
        assert read(answer, MOODS).label == -1, answer
    assert read("positive and negative", MOODS) == (-1, "several classes")
    denied = [
        "not positive",
        "It's not positive",
        "isn't positive",
        "hardly positive",
        "The sentiment is not positive.",
    ]
    for answer in [*denied, "The opposite of positive", "unlikely to be positive", "anything but positive"]:
        assert read(answer, MOODS) == (-1, "denied"), answer
    assert read("neutral", MOODS) == (-1, "no class named")


def test_rule_8_a_list_of_the_classes_is_no_answer():
    answers = [
        "negative: 0\npositive: 1",
        "Negative: 10%\nPositive: 90%",
        "- negative: the writer is unhappy\n- positive: the writer is happy",
        "| negative | 0.1 |\n| positive | 0.9 |",
        "Negative - 0.1\nPositive - 0.9",
        "Positive aspects: great food.\nNegative aspects: slow.\nOverall: negative",
        '{"label": "positive"}\n{"label": "negative"}',
    ]
    check(dict.fromkeys(answers), MOODS)
    check({'{"label": "positive"}\n{"label": "positive"}': "positive", "positive: yes, it is": "positive"}, MOODS)


def test_rule_8_reasons_scales_and_options_after_an_answer_are_not_answers():
    check(
        {
            "4\n\nReasons:\n1. The reviewer liked the food.\n2. The service was slow.": "4",
            "Rating: 4\n\nScale:\n1 = terrible\n5 = excellent": "4",
            "2\n\n1) Rude staff": "2",
        },
        STARS,
    )
    check(
        {
            "**Sentiment:** Positive\n\nNegative: 0.05": "positive",
            "The tweet sounds positive.\n\nNegative words are absent.": "positive",
            '{"label": "positive"}\n\nTweet: I hate this\n{"label": "negative"}': "positive",
            '{"label": "positive"}\n{"alternative_label": "negative"}': "positive",
        },
        MOODS,
    )
    check({"Non-toxic\n\nToxic: no\nInsult: no": "non-toxic"}, TOXIC)
    letters = classes("world", "sports", "business", codes=("A", "B", "C"))
    check({"B\nA. World\nB. Sports\nC. Business": "sports"}, letters)


def test_rule_9_not_x_names_non_x():
    check(
        {
            "toxic": "toxic", "The comment is toxic.": "toxic", "non-toxic": "non-toxic",
            "It is non-toxic.": "non-toxic",
            "Non toxic": "non-toxic", "nontoxic": "non-toxic", "non‑toxic": "non-toxic",
            "not toxic": "non-toxic",
            "This is not toxic.": "non-toxic", "It isn't toxic": "non-toxic", "not a toxic comment": "non-toxic",
            "It is not non-toxic": None, "toxic or non-toxic": None, "toxic: no": None, "toxic=false": None,
            "neither toxic nor non-toxic": None, "semi-toxic": None, "The comment is not in any way toxic": None,
        },
        TOXIC,
    )  # fmt: skip
    check({"non-toxic": None, "not toxic": None, "toxic": "toxic"}, classes("toxic", "clean"))
    check({"not entailment": "not_entailment", "entailment": "entailment"}, classes("entailment", "not_entailment"))
    check({"There is no hate": "no hate", "hate": "hate", "Hate speech": "hate"}, classes("hate", "no hate"))
    check({"It's not spam.": "not spam", "spam": "spam"}, classes("spam", "not spam"))
    check({"no spam": None, "spam/ham": None, "hamster": None}, classes("spam", "ham"))


def test_rule_10_names_in_other_names():
    check(
        {"very positive": "very positive", "positive": "positive", "positive, very positive": None},
        classes("positive", "very positive", "negative"),
    )
    check({"card": "card", "It is card_arrival.": "card arrival", "cards": None}, classes("card arrival", "card"))
    check({"It is New York.": "New York", "york": "York"}, classes("New York", "York"))
    check({"Arts, Culture": "Arts, Culture", "arts": "Arts"}, classes("Arts, Culture", "Arts"))
    check({"C++": "C++", "C": "C", "The language is C++.": "C++", "C#": None}, classes("C", "C++", "Java"))
    check({"C++": None}, classes("C", "Java"))
    check({"Sci/Tech": "Sci/Tech", "The topic is Sci/Tech.": "Sci/Tech", "tech": "Tech"}, classes("Sci/Tech", "Tech"))
    check({"re-sign": "re-sign", "resign": "resign"}, classes("re-sign", "resign"))
    check(
        {"DESC:manner": "DESC:manner", "DESC": "DESC"},
        classes("DESC:manner", "DESC:reason", "DESC"),
    )
    check({"I don't know": "don't know", "know": "know"}, classes("don't know", "know"))
    check({"Yahoo!": "Yahoo!", "yahoo": "Yahoo!"}, classes("Yahoo!", "Google"))
    check({"pro life": "pro-life", "choice: Pro-life": "pro-life"}, classes("pro-choice", "pro-life"))
    check({"tells us": None, "US": "US"}, classes("US", "UK"))
    check({"积极": "积极", "答案：积极": "积极"}, classes("积极", "消极"))


def test_rule_11_numbers():
    four = [
        "4", "4.", "4.0", "**4**", "(4)", "four", "4 stars", "4/5", "4 / 5", "4 out of 5", "4 of 5", "4 out of 5 stars",
        "4 stars out of 5", "I'd give it 4/5.", "I would give this 4 stars.", "I would rate it 4", "This is a 4.",
        "Rating: 4", "Rating: 4/5", "The rating is 4 out of 5", "4/5 - decent", "4. The reviewer liked it",
        "4 because it's good",
        "4: good food, 2 of us",
    ]  # fmt: skip
    none = [
        "4-5", "4–5", "4 - 5", "4 to 5", "4 or 5", "between 4 and 5", "4, maybe 5", "4,5", "4.5", "4.5/5", "4/10",
        "8 out of 10", "0/5", "6/5", "4/5/2020", ">3", "≥ 3", "at least 3", "4%", "4+", "-4", "14", "3-star", "1. 4",
        "The 2 friends liked it", "3..4",
    ]  # fmt: skip
    check(dict.fromkeys(four, "4") | dict.fromkeys(none), STARS)
    signs = classes("-1", "0", "1")
    check({"-1": "-1", "Label: -1": "-1", "label -1": "-1", "+1": "1", "1": "1", "0": "0"}, signs)
    check({"0/1": None, "1/1": None, "Label: 0": "0", "10": None}, classes("0", "1"))
    check(
        {"4": "4 stars", "4/5": "4 stars", "4-5 stars": None}, classes("1 star", *(f"{n} stars" for n in range(2, 6)))
    )


def test_codes_of_the_prompt_are_names():
    ids = classes("negative", "positive", codes=("0", "1"))
    same = ["1", "1. positive", "1 (positive)", "Label: 1", "positive"]
    check({**dict.fromkeys(same, "positive"), "0: negative": "negative", "1. negative": None}, ids)
