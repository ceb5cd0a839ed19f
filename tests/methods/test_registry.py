"""Methods are found by name, by the beginning of a name, or in a user's own file."""

import dataclasses
import hashlib
import importlib.metadata
import pkgutil
import re
import sys
import types

import pytest

import methods
from bench.core.errors import UsageError
from bench.grid.cells import choose_method
from methods import registry
from methods.base import Field, config

MINE = '''
from methods.base import Field, Predictions, config
from methods.registry import register

@register
class Mine:
    """A method of my own."""

    name = "mine-{name}"

    @config
    class Config:
        strength: int = Field(1, ge=1, le=9, description="how much")

    def __init__(self, config):
        self.config = config

    def run(self, task, tools):
        yield {value}
'''


pytestmark = pytest.mark.usefixtures("own_registry")


def method_class(name="made-up", **changes):
    @config
    class Config:
        strength: int = Field(1, ge=1, le=9, description="how much")

    def init(self, config):
        self.config = config

    body = {"name": name, "Config": Config, "run": lambda self, task, tools: iter(()), "__init__": init}
    return type("MadeUp", (), {key: value for key, value in (body | changes).items() if value is not None})


def test_every_method_of_the_package_is_known_under_its_own_name_in_order():
    known = registry.available()
    assert list(known) == sorted(known)
    assert {"plain", "oracle", "co-teaching", "sidyp", "npc", "dygen"} <= set(known)
    for name, cls in known.items():
        assert cls.name == name
        assert registry.describe(cls)
        assert cls.version >= 1
        assert cls.sees_gold == (name == "oracle")


def test_every_module_that_registers_is_imported():
    registered = {cls.__module__.split(".")[1] for cls in registry.available().values() if "." in cls.__module__}
    assert registered <= {module.name for module in pkgutil.iter_modules(methods.__path__)}


def test_registering_gives_version_and_sight_their_defaults():
    cls = registry.register(method_class())
    assert (cls.version, cls.sees_gold) == (1, False)
    assert registry.find("made-up") is cls


@pytest.mark.parametrize("name", ["a+es", "a/../b", "a\\b", "a[b", "a]", "a,b", "a=b", "a:b", "a b"])
def test_a_name_that_would_mean_something_else_is_refused(name):
    with pytest.raises(TypeError, match=r"cannot be called so: .* letters, digits, - and _"):
        registry.register(method_class(name))
    assert name not in registry.METHODS.classes


def test_a_parameter_that_must_be_given_is_asked_for():
    @config
    class Config:
        k: int
        strength: int = 1

    with pytest.raises(UsageError, match=r"^method made-up: k is needed, as in made-up\[k=…\]$"):
        registry.build(registry.register(method_class(Config=Config)), {"strength": 2})


@pytest.mark.parametrize(("file", "called"), [("mine.py", "{}"), ("mi,ne.py", '"{}"')])
def test_a_parameter_that_must_be_given_is_asked_for_of_a_file_by_its_path(tmp_path, file, called):
    path = tmp_path / file
    path.write_text(MINE.format(name="needs", value="None").replace("Field(1, ge", "Field(ge"), "utf-8")
    called = called.format(path)
    with pytest.raises(
        UsageError, match=re.escape(f"method mine-needs: strength is needed, as in {called}[strength=…]")
    ):
        choose_method(called)
    assert choose_method(f"{called}[strength=3]").method.config.strength == 3


@pytest.mark.parametrize("missing", ["name", "Config", "run"])
def test_a_class_that_is_no_method_is_refused(missing):
    with pytest.raises(TypeError, match=f"has no '{missing}'"):
        registry.register(method_class(**{missing: None}))


@pytest.mark.parametrize("kind", [dict, dataclasses.make_dataclass("Config", ["strength"])])
def test_a_config_that_checks_no_values_is_refused(kind):
    with pytest.raises(TypeError, match="@config"):
        registry.register(method_class(Config=kind))


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(TypeError, match=r"two methods are named 'plain': methods\.plain and"):
        registry.register(method_class("plain"))


def test_a_unique_beginning_is_enough():
    assert registry.find("co-t").name == "co-teaching"
    assert registry.find("SiDyP").name == "sidyp"


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="unknown method 'co-teachin-g': did you mean co-teaching"):
        registry.find("co-teachin-g")


def test_a_beginning_of_two_names_is_refused_with_both(monkeypatch):
    known = {name: method_class(name) for name in ("plain", "made-of", "made-up")}
    monkeypatch.setattr(registry.METHODS, "classes", known)
    with pytest.raises(UsageError, match=r"method 'm' matches made-of and made-up\b"):
        registry.find("m")


def test_parameters_are_checked():
    cls = registry.register(method_class())
    assert registry.build(cls, {"strength": 3}).config.strength == 3
    with pytest.raises(UsageError, match="unknown parameter of method made-up 'strenth': did you mean strength"):
        registry.build(cls, {"strenth": 3})
    with pytest.raises(UsageError, match=r"method made-up: strength = 12: .*less than or equal to 9"):
        registry.build(cls, {"strength": 12})


@pytest.mark.parametrize(
    ("name", "parameters", "unused"),
    [
        ("second-opinion", {"opinions": "logistic", "neighbours": 5}, "neighbours = 5 .* with opinions=logistic"),
        ("second-opinion", {"opinions": "neighbours", "folds": 3}, "folds = 3 .* with opinions=neighbours"),
        ("knn-vote", {"neighbours_only": True, "own_weight": 2}, "own_weight = 2.0 .* with neighbours_only=true"),
        ("sidyp", {"mode": "official", "num_samples": 8}, "num_samples = 8 .* with mode=official"),
        ("sidyp", {"mode": "official", "evaluate_every": 2}, "evaluate_every = 2 .* with mode=official"),
        ("sidyp", {"select": "prior_valid", "evaluate_every": 2}, "evaluate_every = 2 .* with select=prior_valid"),
        ("sidyp", {"branches": 1, "kl_weight": 0}, "kl_weight = 0.0 .* with branches=1"),
        ("sidyp", {"branches": 1, "share_time": True}, "share_time = True .* with branches=1"),
        ("dygen", {"branches": 1, "agreement": 2}, "agreement = 2.0 .* with branches=1"),
        ("dygen", {"agreement": 0, "agreement_warmup": 0.5}, "agreement_warmup = 0.5 .* with agreement=0"),
        ("dygen", {"agreement_warmup": 1, "agreement": 3}, "agreement = 3.0 .* with agreement_warmup=1"),
        ("dygen", {"kl_weight": 0, "tau": "0.4"}, "tau = 0.4 .* with kl_weight=0"),
        ("dygen", {"kl_weight": 0, "prior_strength": 1}, "prior_strength = 1.0 .* with kl_weight=0"),
        ("dygen", {"kl_weight": 0, "exclude_self": True}, "exclude_self = True .* with kl_weight=0"),
        ("dygen", {"prior_strength": 0, "metric": "cosine"}, "metric = cosine .* with prior_strength=0"),
        ("npc", {"kl_weight": 0, "prior": "proba"}, "prior = proba .* with kl_weight=0"),
        ("npc", {"kl_weight": 0, "prior_strength": 1}, "prior_strength = 1.0 .* with kl_weight=0"),
        ("npc", {"prior_strength": 0, "neighbours": 2}, "neighbours = 2 .* with prior_strength=0"),
        ("cr", {"warmup": 1, "alpha": 3}, "alpha = 3.0 .* with warmup=1"),
        ("cr", {"alpha": 0, "warmup": 0.5}, "warmup = 0.5 .* with alpha=0"),
        ("sidyp", {"warm_up": 1, "kl_weight": 0}, "kl_weight = 0.0 .* with warm_up=1"),
        ("sidyp", {"warm_up": 1, "train_samples": 1}, "train_samples = 1 .* with warm_up=1"),
        ("elr", {"strength": 0, "momentum": 0.1}, "momentum = 0.1 .* with strength=0"),
    ],
)
def test_a_parameter_that_another_leaves_unused_is_refused_with_both(name, parameters, unused):
    cls = registry.find(name)
    with pytest.raises(UsageError, match=f"{unused}: leave out one of the two"):
        registry.build(cls, parameters)
    for parameter, value in parameters.items():
        registry.build(cls, {parameter: value})  # by itself
    (*_, parameter) = parameters
    default = getattr(cls.Config(), parameter)
    assert (
        registry.build(cls, parameters | {parameter: default}).config
        == registry.build(cls, dict([next(iter(parameters.items()))])).config
    )  # no second name for one method


@pytest.mark.parametrize(
    ("name", "parameter"), [("sidyp", "width"), ("sidyp", "epochs"), ("npc", "neighbours"), ("gce", "q")]
)
def test_true_is_no_number(name, parameter):
    with pytest.raises(UsageError, match=f"{parameter} = True: a number is needed"):
        registry.build(registry.find(name), {parameter: True})
    assert registry.build(registry.find("sidyp"), {"exclude_self": True}).config.exclude_self


def test_a_text_of_the_wrong_form_is_refused_in_words():
    with pytest.raises(UsageError, match=r"tau = '1e1': it must be: share of wrong labels .* a number in \[0, 1\)"):
        registry.build(registry.find("dygen"), {"tau": "1e1"})


def test_a_method_that_takes_no_config_says_so():
    cls = registry.register(method_class(__init__=lambda self: None))
    with pytest.raises(UsageError, match=r"method made-up cannot be built: .*__init__\(self, config\)"):
        registry.build(cls, {})


def test_a_method_from_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(name="one", value=1))
    cls = registry.find(str(path))
    assert cls.name == "mine-one"
    assert registry.describe(cls) == "A method of my own."
    assert registry.find(str(path)) is cls


def test_an_edited_file_is_read_again_and_so_is_its_former_text(tmp_path):
    path = tmp_path / "mine.py"
    for value in (1, 2, 1):
        path.write_text(MINE.format(name="edited", value=value))
        cls = registry.find(str(path))
        assert list(registry.build(cls, {}).run(None, None)) == [value]


def test_a_file_cannot_take_the_name_of_a_method(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(name="x", value=1).replace("mine-x", "plain"))
    with pytest.raises(UsageError, match="two methods are named 'plain'"):
        registry.find(str(path))
    assert registry.find("plain").__module__ == "methods.plain"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "registers 0 methods; it must register exactly one"),
        (
            MINE.format(name="a", value=1) + MINE.format(name="b", value=1).replace("Mine", "Other"),
            "registers 2 methods",
        ),
        ("import no_such_package_at_all", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_file_that_is_no_method_is_one_clear_error_and_leaves_nothing_behind(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    known, loaded = set(registry.available()), set(sys.modules)
    for _ in range(2):  # the second time as the first: nothing half-imported stays
        with pytest.raises(UsageError, match=message) as caught:
            registry.find(str(path))
        assert str(path) in str(caught.value)
    assert set(registry.available()) == known
    assert not [name for name in set(sys.modules) - loaded if name.startswith("bench_user_method")]


@pytest.mark.parametrize(
    ("line", "beside"),
    [
        ("from helper_x import S", "helper_x.py"),
        ("import helper_x as x", "helper_x.py"),
        ("def late():\n    from parts.deep.er import S", "parts/deep/er.py"),
        ("from parts.deep import er", "parts/deep/er.py"),
        ("import whole.er", "whole/__init__.py"),
        ("import without_spec\nimport helper_x", "helper_x.py"),
    ],
)
@pytest.mark.parametrize("importable", [True, False], ids=["python -m bench", "bench"])
@pytest.mark.parametrize("below", ["", "sub"])
def test_a_module_beside_a_file_is_refused_as_it_would_not_count_in_its_version(
    tmp_path, monkeypatch, line, beside, importable, below
):
    for name in ("helper_x.py", "parts/deep/er.py", "whole/__init__.py", "whole/er.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("S = 0.1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "without_spec", types.ModuleType("without_spec"))  # as `__main__` may be
    if importable:
        monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / below).mkdir(exist_ok=True)
    path = tmp_path / below / "mine.py"
    path.write_text(f"{line}\n{MINE.format(name='helped', value=1)}")
    with pytest.raises(UsageError) as caught:
        registry.find(str(path))
    assert f"'{path}' imports '{tmp_path / beside}', and a change there would not make it another" in str(caught.value)
    assert "put both into one file" in str(caught.value)
    assert not {"helper_x", "parts", "whole"} & set(sys.modules)


def test_what_is_installed_wins_over_a_file_or_folder_of_its_name_beside_a_method(tmp_path, monkeypatch):
    for name in ("random.py", "cleanlab.py", "wandb/run-1/log.py", "methods/__init__.py", "unused.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    optional = "try:\n    import wandb\nexcept ImportError:\n    pass\n"
    text = f"import random\nimport cleanlab\n{optional}{MINE.format(name='alone', value=1)}"
    path.write_text(text)
    cls = registry.find(str(path))
    assert registry.METHODS.version(cls) == int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match=r"no\.py' does not exist: name a Python file with one @register class"):
        registry.find(str(tmp_path / "no.py"))


def test_entry_points_of_other_packages_are_methods_and_a_broken_one_is_a_warning(monkeypatch, caplog):
    class Point:
        value = "other_package.methods"

        def __init__(self, load):
            self.load = load

    def broken():
        raise ImportError("no module named theirs")

    def leaves():
        raise SystemExit("bye")

    points = [Point(broken), Point(leaves), Point(lambda: registry.register(method_class("from-elsewhere")))]
    points.append(Point(lambda: method_class("unregistered")))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == "bench.methods" else [])
    monkeypatch.setattr(registry.METHODS, "read", False)
    for known in (registry.available(), registry.available()):
        assert "from-elsewhere" in known
        assert "plain" in known
        assert "unregistered" not in known
    assert [record.getMessage() for record in caplog.records] == [
        "methods of other_package.methods cannot be loaded: ImportError: no module named theirs",
        "methods of other_package.methods cannot be loaded: SystemExit: bye",
        "method of other_package.methods is left out: write @register above its class",
    ], "each once"


HALVES = """
import dataclasses
from methods.base import Method, config
from methods.registry import register

@register
class Halves(Method):
    name = "halves"

    @config
    class Config:
        weight: float = 1.0

    def __init__(self, config):
        self.config = dataclasses.replace(config, weight=config.weight / 2)

    def run(self, task, tools):
        yield
"""


def test_a_method_built_again_is_given_what_it_was_given_before(tmp_path):
    (tmp_path / "halves.py").write_text(HALVES, encoding="utf-8")
    once = choose_method(str(tmp_path / "halves.py[weight=4]")).method
    twice = registry.fresh(registry.fresh(once))
    assert [each.config.weight for each in (once, registry.fresh(once), twice)] == [2, 2, 2]
    registry.METHODS.forget()
