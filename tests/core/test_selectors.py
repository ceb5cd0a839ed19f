"""The selector language: comma lists, brackets, wrappers."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UsageError
from bench.core.selectors import Selector, listed, parse, shell_word, shell_words, split_list, unquoted


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain", ["plain"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("sidyp[num_samples=8,mode=official],npc", ["sidyp[num_samples=8,mode=official]", "npc"]),
        ("vote(a,b),c", ["vote(a,b)", "c"]),
        ("m[x=[1,2],y=3]+ts,n", ["m[x=[1,2],y=3]+ts", "n"]),
        (["a", "b,c", 3], ["a", "b", "c", "3"]),
        ('"a,b", c', ['"a,b"', "c"]),
        ('"a(b", "say ""hi""",x', ['"a(b"', '"say ""hi"""', "x"]),
        ('vote("a,b)",c),d', ['vote("a,b)",c)', "d"]),
        ('5" screen,x', ['5" screen', "x"]),
        ([], []),
    ],
)
def test_a_comma_list_is_split_outside_brackets(text, parts):
    assert split_list(text) == parts


@given(st.lists(st.text(string.ascii_lowercase + "-@.", min_size=1), min_size=1))
def test_splitting_undoes_joining(parts):
    assert split_list(",".join(parts)) == parts


@given(st.lists(st.text('ab ,"()[]/@\n', min_size=1), min_size=1))
def test_any_names_can_be_listed(names):
    assert [unquoted(part)[0] for part in split_list(",".join(map(listed, names)))] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[x=1", "'a[x=1': a bracket is not closed"),
        ("a]x[", "a closing bracket without an opening one"),
        ("a,,b", "an empty entry in a comma list"),
        ("a,", "an empty entry in a comma list"),
        ("", "an empty entry in a comma list"),
        ('"a,b', "a quote is not closed"),
    ],
)
def test_a_malformed_list_is_refused_with_its_text(text, message):
    with pytest.raises(UsageError) as caught:
        split_list(text)
    assert message in str(caught.value)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("plain", Selector("plain")),
        (" plain ", Selector("plain")),
        ("plain+ts", Selector("plain", {}, ("ts",))),
        (
            "sidyp[num_samples=8, mode=official]+ts",
            Selector("sidyp", {"num_samples": 8, "mode": "official"}, ("ts",)),
        ),
        ("m[]", Selector("m")),
        (
            "m[a=0.3,b=true,c=null,d='0.3',e=1e-3]",
            Selector("m", {"a": 0.3, "b": True, "c": None, "d": "0.3", "e": "1e-3"}),
        ),
        ("m[layers=[1,2]]", Selector("m", {"layers": [1, 2]})),
        (
            "m[a=no,b=010,c=on,d=1:30,e=2020-01-01,f=-3,g=0x10,h=.5]",
            Selector(
                "m", {"a": "no", "b": 10, "c": "on", "d": "1:30", "e": "2020-01-01", "f": -3, "g": "0x10", "h": 0.5}
            ),
        ),
        ("./mine.py", Selector("./mine.py")),
        ("c++/mine.py+ts", Selector("c++/mine.py", {}, ("ts",))),
        ("./mine.py[strength=2]+ts", Selector("./mine.py", {"strength": 2}, ("ts",))),
    ],
)
def test_a_selector_is_a_name_parameters_and_wrappers(text, selector):
    assert parse(text) == selector


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x=1]", "no name before the brackets"),
        ("", "no name before the brackets"),
        ("+ts", "no name before the brackets"),
        ("a[x=1", "the bracket after 'a' is not closed"),
        ("a[x=1]tail", "unexpected 'tail' after the bracket"),
        ("a[x]", "'x' is not parameter=value"),
        ("a[1x=2]", "'1x' is not parameter=value".replace("'1x'", "'1x=2'")),
        ("a[x=1,x=2]", "parameter 'x' is given twice"),
        ("a[x={]", "the value of 'x' cannot be read"),
        ("a[x={b: 1, b: 2}]", "the value of 'x' cannot be read"),
        ("a[x=1,,y=2]", "an empty entry"),
        ("plain+", "'plain+': no wrapper after '+'"),
        ("plain++ts", "'plain++ts': no wrapper after '+'"),
        ("a=b", "no name before the brackets"),
    ],
)
def test_a_malformed_selector_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_values_are_data_never_code():
    with pytest.raises(UsageError, match="cannot be read"):
        parse("a[x=!!python/object/apply:os.getcwd []]")


@pytest.mark.parametrize("text", ['""', '"plain"oops', '"a b.py"]'])
def test_what_follows_a_name_in_quotes_is_not_dropped(text):
    with pytest.raises(UsageError, match="after a name in quotes comes"):
        parse(text)


def test_a_file_in_quotes_has_parameters_and_wrappers():
    assert parse('"./mine, ""v2"".py"[a=1]+ts') == Selector('./mine, "v2".py', {"a": 1}, ("ts",))


@given(st.lists(st.text(st.sampled_from("a ö$'\"\\\n\x1bU0\u2028\U000e0001"))))
def test_words_are_read_back_from_a_command_line_as_they_were_written(words):
    command = " ".join(map(shell_word, words))
    assert command.isprintable()
    assert shell_words(command) == words


def test_a_command_line_with_an_open_quote_is_refused():
    with pytest.raises(ValueError, match="No closing quotation"):
        shell_words("bench run --tasks 'a")
