"""The shared recipe: defaults by encoder, and refusals that name the option."""

import dataclasses

import pytest
from pydantic import TypeAdapter

from bench.core.errors import UsageError
from bench.training.recipe import BY_ENCODER, FROZEN, Recipe, make_recipe


def test_defaults_are_those_of_sidyps_released_script():
    recipe = make_recipe("fine-tuned", "bert-base-uncased")
    assert recipe == Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.warmup) == (10, 128, 5e-5, 0.06)


def test_a_frozen_head_and_a_small_encoder_have_defaults_of_their_own():
    assert make_recipe("frozen", "minilm") == Recipe(**FROZEN)
    for name in ("minilm", "mpnet"):
        assert make_recipe("fine-tuned", name) == make_recipe("top2", name) == Recipe(**BY_ENCODER[name])
        assert BY_ENCODER[name] == {"learning_rate": 2e-4, "batch_size": 32}


def test_what_is_asked_for_wins_and_none_is_not_asked():
    recipe = make_recipe("frozen", "minilm", learning_rate=0.5, epochs=None, batch_size=7)
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size) == (0.5, 10, 7)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("epochs", 0, "greater than or equal to 1"),
        ("epochs", 2.5, "give a whole number"),
        ("batch_size", 0, "greater than or equal to 1"),
        ("learning_rate", 0, "greater than 0"),
        ("learning_rate", -1, "greater than 0"),
        ("learning_rate", float("nan"), "finite number"),
        ("warmup", 1, "less than 1"),
        ("clip", 0, "greater than 0"),
        ("dropout", 1, "less than 1"),
        ("adam_epsilon", 0, "greater than 0"),
        ("weight_decay", -0.1, "greater than or equal to 0"),
        ("max_length", 1, "greater than or equal to 2"),
        ("pooling", "max", "'auto', 'cls' or 'mean'"),
        ("precision", "fp8", "'no', 'bf16' or 'fp16'"),
        ("no_such", 1, "nexpected keyword argument"),
    ],
)
def test_a_bad_value_names_the_option_the_value_and_the_range(option, value, says):
    with pytest.raises(UsageError) as caught:
        make_recipe("fine-tuned", **{option: value})
    assert str(caught.value).startswith(f"--{option.replace('_', '-')} = {value!r}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("option", ["clip", "adam_epsilon", "weight_decay"])
def test_infinity_is_no_setting(option):
    with pytest.raises(UsageError, match="finite"):
        make_recipe("fine-tuned", **{option: float("inf")})


def test_a_recipe_is_frozen_and_every_number_is_described():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3
    properties = TypeAdapter(Recipe).json_schema()["properties"]
    assert all("description" in facts for facts in properties.values() if facts.get("type") in ("integer", "number"))
