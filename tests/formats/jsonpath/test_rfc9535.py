"""The examples of RFC 9535, by section; documents and queries are facts of the standard, the tests our own."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.formats.jsonpath import JsonPathError, parse

STORE: dict[str, Any] = {
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
            {
                "category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3",
                "price": 8.99,
            },
            {
                "category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings",
                "isbn": "0-395-19395-8", "price": 22.99,
            },
        ],
        "bicycle": {"color": "red", "price": 399},
    }
}  # fmt: skip
BOOKS = STORE["store"]["book"]
AUTHORS = ["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]


def found(query: str, document: Any) -> list[Any]:
    return parse(query).values([document])


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("$.store.book[*].author", AUTHORS),
        ("$..author", AUTHORS),
        ("$.store.*", [BOOKS, STORE["store"]["bicycle"]]),
        ("$.store..price", [8.95, 12.99, 8.99, 22.99, 399]),
        ("$..book[2]", [BOOKS[2]]),
        ("$..book[2].author", ["Herman Melville"]),
        ("$..book[2].publisher", []),
        ("$..book[-1]", [BOOKS[3]]),
        ("$..book[0,1]", BOOKS[:2]),
        ("$..book[:2]", BOOKS[:2]),
        ("$..book[?@.isbn]", BOOKS[2:]),
        ("$..book[?@.price<10]", [BOOKS[0], BOOKS[2]]),
        ("$", [STORE]),
    ],
)
def test_the_bookstore(query: str, values: list[Any]) -> None:
    assert found(query, STORE) == values


def test_every_value_below_the_root() -> None:
    assert len(found("$..*", STORE)) == 27  # 1 store, 2 in it, 4 books, 18 members of those, 2 of the bicycle


NAMES = {"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}
WILD = {"o": {"j": 1, "k": 2}, "a": [5, 3]}
LETTERS = ["a", "b", "c", "d", "e", "f", "g"]
DEEP = {"o": {"j": 1, "k": 2}, "a": [5, 3, [{"j": 4}, {"k": 6}]]}
FILTERED: dict[str, Any] = {
    "a": [3, 5, 1, 2, 4, 6, {"b": "j"}, {"b": "k"}, {"b": {}}, {"b": "kilo"}],
    "o": {"p": 1, "q": 2, "r": 3, "s": 5, "t": {"u": 6}},
    "e": "f",
}
A, O = FILTERED["a"], FILTERED["o"]  # noqa: E741 - the names of the standard
NULLS = {"a": None, "b": [None], "c": [{}], "null": 1}


@pytest.mark.parametrize(
    ("query", "document", "values"),
    [
        ("$.o['j j']", NAMES, [{"k.k": 3}]),
        ("$.o['j j']['k.k']", NAMES, [3]),
        ('$.o["j j"]["k.k"]', NAMES, [3]),
        ('$["\'"]["@"]', NAMES, [2]),
        ("$['\\'']", NAMES, [{"@": 2}]),
        ("$[*]", WILD, [WILD["o"], WILD["a"]]),
        ("$.o[*]", WILD, [1, 2]),
        ("$.o[*, *]", WILD, [1, 2, 1, 2]),
        ("$.a[*]", WILD, [5, 3]),
        ("$[1]", ["a", "b"], ["b"]),
        ("$[-2]", ["a", "b"], ["a"]),
        ("$[2]", ["a", "b"], []),
        ("$[1:3]", LETTERS, ["b", "c"]),
        ("$[5:]", LETTERS, ["f", "g"]),
        ("$[1:5:2]", LETTERS, ["b", "d"]),
        ("$[5:1:-2]", LETTERS, ["f", "d"]),
        ("$[::-1]", LETTERS, LETTERS[::-1]),
        ("$[1:3:0]", LETTERS, []),
        ("$[0, 3]", LETTERS, ["a", "d"]),
        ("$[0:2, 5]", LETTERS, ["a", "b", "f"]),
        ("$[0, 0]", LETTERS, ["a", "a"]),
        ("$..j", DEEP, [1, 4]),
        ("$..[0]", DEEP, [5, {"j": 4}]),
        ("$..o", DEEP, [{"j": 1, "k": 2}]),
        ("$.o..[*, *]", DEEP, [1, 2, 1, 2]),
        ("$.a..[0, 1]", DEEP, [5, 3, {"j": 4}, {"k": 6}]),
        ("$.a", NULLS, [None]),
        ("$.a[0]", NULLS, []),
        ("$.a.d", NULLS, []),
        ("$.b[0]", NULLS, [None]),
        ("$.b[*]", NULLS, [None]),
        ("$.b[?@]", NULLS, [None]),
        ("$.b[?@==null]", NULLS, [None]),
        ("$.c[?@.d==null]", NULLS, []),
        ("$.null", NULLS, [1]),
    ],
)
def test_selectors_and_segments(query: str, document: Any, values: list[Any]) -> None:
    assert found(query, document) == values


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("$.a[?@.b == 'kilo']", [{"b": "kilo"}]),
        ("$.a[?(@.b == 'kilo')]", [{"b": "kilo"}]),
        ("$.a[?@>3.5]", [5, 4, 6]),
        ("$.a[?@.b]", A[6:]),
        ("$[?@.*]", [A, O]),
        ("$[?@[?@.b]]", [A]),
        ("$.o[?@<3, ?@<3]", [1, 2, 1, 2]),
        ('$.a[?@<2 || @.b == "k"]', [1, {"b": "k"}]),
        ('$.a[?match(@.b, "[jk]")]', [{"b": "j"}, {"b": "k"}]),
        ('$.a[?search(@.b, "[jk]")]', [{"b": "j"}, {"b": "k"}, {"b": "kilo"}]),
        ("$.o[?@>1 && @<4]", [2, 3]),
        ("$.o[?@.u || @.x]", [{"u": 6}]),
        ("$.a[?@.b == $.x]", [3, 5, 1, 2, 4, 6]),
        ("$.a[?@ == @]", A),
        ("$.a[?!@.b]", A[:6]),
        ("$.a[?!(@.b || @ > 2)]", [1, 2]),
        ("$.a[?length(@.b) >= 4]", [{"b": "kilo"}]),
        ("$.a[?count(@.*) == 1]", A[6:]),
        ("$[?count(@.*) > 5]", [A]),
        ("$.a[?value(@.b) == 'j']", [{"b": "j"}]),
        ("$[?length(@) == 1]", ["f"]),
    ],
)
def test_filters(query: str, values: list[Any]) -> None:
    assert found(query, FILTERED) == values


COMPARED = {"obj": {"x": "y"}, "arr": [2, 3]}


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [
        ("$.absent1 == $.absent2", True),
        ("$.absent1 <= $.absent2", True),
        ("$.absent == 'g'", False),
        ("$.absent1 != $.absent2", False),
        ("$.absent != 'g'", True),
        ("1 <= 2", True),
        ("1 > 2", False),
        ("13 == '13'", False),
        ("'a' <= 'b'", True),
        ("'a' > 'b'", False),
        ("$.obj == $.arr", False),
        ("$.obj != $.arr", True),
        ("$.obj == $.obj", True),
        ("$.obj != $.obj", False),
        ("$.arr == $.arr", True),
        ("$.arr != $.arr", False),
        ("$.obj == 17", False),
        ("$.obj != 17", True),
        ("$.obj <= $.arr", False),
        ("$.obj < $.arr", False),
        ("$.obj <= $.obj", True),
        ("$.arr <= $.arr", True),
        ("1 <= $.arr", False),
        ("1 >= $.arr", False),
        ("1 > $.arr", False),
        ("1 < $.arr", False),
        ("true <= true", True),
        ("true > true", False),
        ("true == 1", False),
        ("1 == 1.0", True),
        ("100 == 1e2", True),
        ("-0 == 0", True),
        ("null == null", True),
        ("false == null", False),
    ],
)
def test_comparisons(comparison: str, holds: bool) -> None:
    query = f"$[?{comparison}]"
    assert bool(found(query, COMPARED)) is holds


def test_decimals_compare_by_their_digits() -> None:
    assert found("$[?@.p < 8.95]", [{"p": 8.95}]) == []
    assert found("$[?@.p == 8.95]", [{"p": 8.95}]) == [{"p": 8.95}]


@pytest.mark.parametrize(
    "query",
    [
        "", "store", "$.", "$..", "$[", "$[]", "$['a", "$[a]", "$.a b", "$ ", " $", "$.a[01]", "$[-0]", "$[1:2:3:4]",
        "$[9007199254740992]", "$[?]", "$[?@.a ==]", "$[?@.a == @.*]", "$[?@..a == 1]", "$[?'a']", "$[?1]", "$[?true]",
        "$[?@.a == 01]", "$[?@.a == 1.]", "$[?foo(@)]", "$[?length(@)]", "$[?count(1) == 1]", "$[?length(@.*) == 1]",
        "$[?match(@.a, 'x') == true]", "$[?!1 == 1]", "$[?@.a & @.b]", "$[?(@.a]", "$['\\x']", "$['\\ud800']",
        "$['a\n']", "$.1a", "$.-a", "@.a", "$[?@.a=1]", "$[?length()]", "$[?length(@, @) == 1]", "$[1 2]", "$.a.",
        "$[?@.a<1<2]",
    ],
)  # fmt: skip
def test_what_is_no_query(query: str) -> None:
    with pytest.raises(ValueError, match=r"character|begins with"):
        parse(query)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("$", ()),
        ("$.a['b'][0][-1]", ("a", "b", 0, -1)),
        ("$ .a [ 'b' ]", ("a", "b")),
        ("$['\\u263a\\ud83d\\ude00\\n']", ("☺😀\n",)),
        ("$.ünïcode_1", ("ünïcode_1",)),
        ("$.a[*]", None),
        ("$..a", None),
        ("$['a','b']", None),
        ("$[0:1]", None),
        ("$[?@.a]", None),
    ],
)
def test_singular_queries(query: str, keys: Any) -> None:
    assert parse(query).keys == keys


@pytest.mark.parametrize("query", ["$" + "[*,*,*,*,*,*,*,*]" * 12, "$..[?count($..*) > 0]"])
def test_what_looks_at_too_much_ends(query: str) -> None:
    document = [[[[[[[[[[[[1] * 30]]]]]]]]]]] * 100
    with pytest.raises(JsonPathError, match="looks at more than 100,000"):
        parse(query).values([document])


def test_no_pattern_is_slow() -> None:
    assert found("$[?match(@, '(a|a)*b')]", ["a" * 10_000, "aab"]) == ["aab"]
    assert found("$[?match(@, '.')]", ["\n", "x", "\r"]) == ["x"]
    assert found("$[?match(@, '(')]", ["("]) == []
    assert found("$[?search(@, 'a')]", ["\ud800a", 7, None]) == []


def test_depth_and_length_are_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        parse("$" + ".a" * 600)
    with pytest.raises(ValueError, match="within one another"):
        parse("$" + "[?@" * 30 + "]" * 30)
