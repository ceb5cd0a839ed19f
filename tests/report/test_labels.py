"""Names show what differs and nothing else; two things that differ never share one."""

from hypothesis import given
from hypothesis import strategies as st

from bench.report import names as labels
from tests.factories import cell_key


def sidyp(count=1, **config):
    return [cell_key(method="sidyp", config=config, seed=seed) for seed in range(count)]


def named(keys):
    return labels.method_labels(keys, ["2026"] * len(keys))


def test_equal_configurations_have_a_bare_name():
    assert named(sidyp(2, mode="paper", num_samples=8)) == (["sidyp", "sidyp"], {})


def test_only_varying_parameters_are_shown_and_the_commonest_keeps_the_bare_name():
    keys = sidyp(3, mode="paper", num_samples=8) + sidyp(1, mode="official", num_samples=8)
    names, bare = named(keys)
    assert names == ["sidyp"] * 3 + ["sidyp[mode=official]"]
    assert bare == {"sidyp": "sidyp[mode=paper]"}


def test_equally_common_configurations_are_all_spelled_out():
    names, bare = named(sidyp(1, num_samples=4) + sidyp(1, num_samples=8))
    assert names == ["sidyp[num_samples=4]", "sidyp[num_samples=8]"]
    assert bare == {}


def test_a_variant_names_only_the_parameters_in_which_it_is_unusual():
    keys = sidyp(2, mode="paper", num_samples=8, tau=1) + sidyp(1, mode="official", num_samples=8, tau=1)
    keys += sidyp(1, mode="paper", num_samples=4, tau=2) + sidyp(1, mode="paper", num_samples=8, tau=2)
    names, bare = named(keys)
    assert names == ["sidyp", "sidyp", "sidyp[mode=official]", "sidyp[num_samples=4,tau=2]", "sidyp[tau=2]"]
    assert bare == {"sidyp": "sidyp[mode=paper,num_samples=8,tau=1]"}


def test_versions_of_a_method_are_ranked_by_their_newest_cell_and_not_by_their_number():
    """The version of a method of one's own file is a number made from its content."""
    keys = [cell_key(method_version=version) for version in (281474976710655, 7, 7, 90000000000000)]
    names, _ = labels.method_labels(keys, ["2026-03", "2026-01", "2026-05", "2026-04"])
    assert names == ["plain (older 2)", "plain", "plain", "plain (older)"]


def test_a_wrapped_method_names_the_parameter_in_which_it_differs_from_the_bare_one():
    keys = [cell_key(method="gce", config={"q": 0.7}, seed=seed) for seed in (1, 2)]
    keys += [cell_key(method="gce+ts", config={"q": 0.3}), cell_key(method="gce+ts", config={"q": 0.7})]
    keys += [cell_key(method="gce+ts", config={"q": 0.3}, method_version=0)]
    names, bare = labels.method_labels(keys, ["2026", "2026", "2026", "2026", "2025"])
    assert names == ["gce", "gce", "gce[q=0.3]+ts", "gce+ts", "gce+ts (older)"]
    assert bare == {"gce": "gce[q=0.7]", "gce+ts": "gce[q=0.7]+ts"}


def test_only_names_that_the_table_has_are_explained_and_bare_cells_say_what_is_common():
    wrapped = [cell_key(method="gce+ts", config={"q": q}, seed=seed) for seed, q in enumerate((0.7, 0.7, 0.3))]
    names, bare = labels.method_labels(wrapped, ["2026"] * 3)
    assert names == ["gce+ts", "gce+ts", "gce[q=0.3]+ts"]
    assert bare == {"gce+ts": "gce[q=0.7]+ts"}
    keys = [cell_key(method="gce", config={"q": 0.7})]
    keys += [cell_key(method="gce+ts", config={"q": 0.3}, seed=seed) for seed in (1, 2)]
    assert labels.method_labels(keys, ["2026"] * 3)[0] == ["gce", "gce[q=0.3]+ts", "gce[q=0.3]+ts"]


def test_options_vary_within_a_source_only():
    keys = [
        cell_key(noise="weak", options={"uncovered": "uniform"}),
        cell_key(noise="weak", options={"uncovered": "drop"}),
        cell_key(noise="sn@0.3"),
    ]
    assert labels.noise_labels(keys)[0] == ["weak[uncovered=uniform]", "weak[uncovered=drop]", "sn@0.3"]


def test_a_setup_names_the_encoder_with_its_mode_and_what_varies():
    keys = [
        cell_key(),
        cell_key(encoder=("minilm", "frozen")),
        cell_key(recipe={"epochs": 9, "learning_rate": 5e-5, "max_length": 128}),
        cell_key(limit=200),
    ]
    assert labels.setup_labels(keys) == [
        "minilm:fine-tuned, epochs=4",
        "minilm:frozen",
        "minilm:fine-tuned, epochs=9",
        "minilm:fine-tuned, epochs=4, limit=200",
    ]


def test_a_text_length_that_belongs_to_the_task_does_not_split_a_setup():
    recipe = {"epochs": 4, "learning_rate": 5e-5}
    by_task = [cell_key(task=t, recipe=recipe | {"max_length": n}) for t, n in (("trec", 64), ("20news", 150))]
    assert set(labels.setup_labels(by_task)) == {"minilm:fine-tuned"}
    in_one_task = [cell_key(recipe=recipe | {"max_length": n}) for n in (64, 150)]
    assert labels.setup_labels(in_one_task) == ["minilm:fine-tuned, max_length=64", "minilm:fine-tuned, max_length=150"]


def test_weights_of_two_revisions_are_two_setups():
    keys = [cell_key(encoder_revision="a" * 20), cell_key(encoder_revision="b" * 20)]
    assert len(set(labels.setup_labels(keys))) == 2


values = st.one_of(st.integers(0, 2), st.booleans(), st.sampled_from(["a", "1"]), st.none())


@given(st.lists(st.dictionaries(st.sampled_from("xyz"), values, max_size=3), min_size=1, max_size=8))
def test_labels_are_equal_exactly_for_equal_parameters(configs):
    names, _ = labels.parameter_labels(["m"] * len(configs), configs)
    for name, config in zip(names, configs, strict=True):
        for other_name, other in zip(names, configs, strict=True):
            assert (name == other_name) == (labels.canonical(config) == labels.canonical(other))


def test_numbers_in_names_sort_as_numbers():
    names = ["sn@0.3", "method-10", "sn@0.05", "Method-2", "asn@0.3"]
    assert sorted(names, key=labels.natural) == ["asn@0.3", "Method-2", "method-10", "sn@0.05", "sn@0.3"]
