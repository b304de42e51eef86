"""Views of a table: what a link says, which rows it shows, page by page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

import pytest

from gas.errors import InputError
from gas.explore.expressions import condition, filters
from gas.explore.table import Table
from gas.explore.view import Condition, Match, Operator, Order, View, document
from tests.unit.explore_inputs import Shelf, made_table

ROWS = 3000


def made_rows(count: int = ROWS) -> list[tuple[Any, ...]]:
    """Rows with every kind of value, many of them equal or empty, in the order of a file."""
    dice = random.Random(7)
    rows: list[tuple[Any, ...]] = []
    rec = 1
    while len(rows) < count:
        another = dice.random() < 0.1  # allele of the record before
        rec += not another
        alt = f"<INS:{len(rows)}>" if another else dice.choice("CGT")
        pos, chrom = 100 + rec // 3, f"chr{1 + rec // 700}"
        for k in range(dice.choice((1, 1, 2, 3))):
            impact = dice.choice(("HIGH", "MODERATE", "LOW", "MODIFIER", None))
            terms = dice.choice(("missense_variant", "missense_variant&splice_region_variant", "intron_variant"))
            rows.append(
                (
                    *(rec, chrom, pos, dice.choice((None, "rs1", "rs2")), "A", alt),
                    *(dice.choice((None, 1.5, 30.25)), dice.choice(("PASS", "q10", None))),
                    *(terms if impact else None, impact, dice.choice((None, "S", "s", "N", "ORF1ab", "O'Brien;--"))),
                    *(None, "protein_coding", dice.choice("+-"), None, None, f"{pos}A>C"),
                    *(dice.choice((True, False)), k == 0, dice.choice((None, 0, 5))),
                    *(dice.choice((None, "Benign,Likely", "Pathogenic")), dice.choice((None, 0.1, 1e-5))),
                )
            )
    return rows[:count]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("made")
    shelf = Shelf.at(folder / "cache")
    stored = shelf.store.put("v1", made_table(folder / "made.parquet", made_rows()).read_bytes())
    with ExitStack() as stack:
        yield stack.enter_context(shelf.tables.open(stored))


def view(table: Table, query: str) -> View:
    return View.parse(parse_qsl(query, keep_blank_values=True), table.schema)


def everything(table: Table) -> list[dict[str, Any]]:
    names = list(table.schema)
    return [dict(zip(names, row, strict=True)) for batch in table.stream(View(columns=()), names) for row in batch]


def holds(row: dict[str, Any], condition: Condition) -> bool:
    """The meaning of a condition, spelled out."""
    value, given = row[condition.column], condition.values
    if condition.operator is Operator.EMPTY:
        return value is None
    if condition.operator is Operator.IS_NOT:
        return value != given[0]
    if condition.operator is Operator.NOT_IN:
        return value not in given
    if value is None:
        return False
    return {
        Operator.IS: lambda: value == given[0],
        Operator.IN: lambda: value in given,
        Operator.HAS: lambda: given[0] in value.replace(",", "&").split("&"),
        Operator.CONTAINS: lambda: given[0].lower() in value.lower(),
        Operator.STARTS: lambda: value.lower().startswith(given[0].lower()),
        Operator.LESS: lambda: value < given[0],
        Operator.AT_MOST: lambda: value <= given[0],
        Operator.MORE: lambda: value > given[0],
        Operator.AT_LEAST: lambda: value >= given[0],
        Operator.BETWEEN: lambda: given[0] <= value <= given[1],
        Operator.FILLED: lambda: True,
    }[condition.operator]()


def wanted(table: Table, asked: View) -> list[tuple[Any, ...]]:
    """What the view shows, by a plain loop over all rows."""
    combine = {Match.ALL: all, Match.ANY: any}
    kept = []
    for row in everything(table):
        parts = [holds(row, one) for one in asked.conditions]
        parts += [combine[asked.match.other](holds(row, one) for one in group) for group in asked.groups]
        if not parts or combine[asked.match](parts):
            kept.append(row)
    for order in reversed(asked.sort):
        filled = [row for row in kept if row[order.column] is not None]
        filled.sort(key=lambda row: row[order.column], reverse=order.descending)
        kept = filled + [row for row in kept if row[order.column] is None]
    return [tuple(row[name] for name in asked.columns) for row in kept]


def paged(table: Table, asked: View) -> list[tuple[Any, ...]]:
    """All rows of the view, page by page."""
    rows: list[tuple[Any, ...]] = []
    while True:
        page = table.page(asked)
        assert page.first == len(rows) + 1
        assert len(page.rows) <= asked.limit
        rows += page.rows
        if page.next_cursor is None:
            return rows
        assert len(page.rows) == asked.limit
        asked = asked.at(page.next_cursor, table.schema)


QUERIES = [
    "",
    "sort=-pos",
    "sort=qual,-gene,carriers",
    "sort=-after_stop,-AF,id",
    "where=gene:is:S",
    "where=gene:is-not:S",
    "where=gene:in:S,N&where=impact:in:HIGH,MODERATE&sort=-qual",
    "where=gene:not-in:S,N",
    "where=gene:is:O'Brien;--",
    "where=consequence:has:missense_variant&where=impact:is:HIGH",
    'where=odd"name:has:Likely',
    'where=odd"name:filled&sort=odd"name',
    "where=gene:contains:orf",
    "where=gene:starts:o",
    "where=pos:between:200..260&where=AF:lt:0.01",
    "where=qual:ge:30&where=qual:le:30.25",
    "where=carriers:gt:0&match=any&where=id:empty",
    "where=after_stop:is:true&where=most_severe:is:false&sort=-chrom,gene",
    "where=impact:is:HIGH&where.1=gene:is:S&where.1=gene:is:N",
    "match=any&where=gene:is:S&where.2=impact:is:HIGH&where.2=pos:gt:500&sort=gene",
    "where=gene:is:nowhere&sort=pos",
    "where=type:is:SNV&sort=size,-type",
]


@pytest.mark.parametrize("query", QUERIES)
def test_pages_hold_what_the_view_says(table: Table, query: str) -> None:
    """All pages together are the rows that a plain loop finds, in order, each once; so are the stream and the total."""
    asked = view(table, f"{query}&limit=97")
    expected = wanted(table, asked)
    assert paged(table, asked) == expected
    assert [row for batch in table.stream(asked, asked.columns) for row in batch] == expected
    shown = asked.shown(("rec", "pos", "ref", "alt"))
    total = table.total(asked)
    assert (total.rows, total.variants) == (len(expected), len(set(wanted(table, shown))))


@pytest.mark.parametrize("query", QUERIES)
def test_a_view_and_its_link_say_the_same(table: Table, query: str) -> None:
    """A view written as a link and read again is the same view."""
    asked = view(table, query)
    assert view(table, asked.query(table.schema)) == asked


def test_a_link_can_be_read(table: Table) -> None:
    """What is as by default is left out, and no more is escaped than must be."""
    asked = view(table, "where=gene:is:S&where=impact:in:HIGH,MODERATE&match=all&sort=-pos&limit=50&columns=chrom,pos")
    said = "where=gene:is:S&where=impact:in:HIGH,MODERATE&sort=-pos&columns=chrom,pos"
    assert asked.query(table.schema) == said
    assert view(table, "").query(table.schema) == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("where=genes:is:S", "there is no column 'genes'; there are rec, chrom, pos"),
        ("sort=-nowhere", "there is no column 'nowhere'"),
        ("columns=pos,1;DROP TABLE x", "there is no column '1;DROP TABLE x'"),
        ("where=pos:contains:1", "pos (whole number) can be compared by is, is-not, lt"),
        ("where=gene:lt:S", "gene (text) can be compared by"),
        ("where=gene", "gene (text) can be compared by"),
        ("where=pos:is:12x", "pos is compared with a whole number, and '12x' is none"),
        ("where=pos:is:" + "9" * 30, "pos is compared with a whole number"),
        ("where=qual:lt:nan", "qual is compared with a number"),
        ("where=after_stop:is:maybe", "after_stop is compared with a true or false"),
        ("where=pos:between:5", "pos:between takes two numbers, as 100..200"),
        ("where=id:empty:x", "id:empty takes no value"),
        ("where=gene:is:", "gene needs a value"),
        ("where=gene:is:a%00b", "at most 1,000 printable characters"),
        ("where=gene:is:" + "x" * 1001, "at most 1,000 printable characters"),
        ("where=gene:in:" + "a," * 1000 + "b", "at most 1,000 values can be listed for gene"),
        ("&".join(["where=gene:is:S"] * 51), "at most 50 conditions"),
        ("match=some", "match is all or any"),
        ("match=all&match=any", "match can be given once"),
        ("limit=0", "limit must be a whole number from 1 to 500"),
        ("limit=501", "limit must be"),
        ("filter=gene", "'filter' is not a part of a view"),
        ("sort=pos,ref,alt,gene,id,qual", "at most 5 columns"),
        ("cursor=x", "the cursor is not one of this view"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(table: Table, query: str, said: str) -> None:
    """Unknown columns, operators that do not fit, and bad values are named."""
    with pytest.raises(InputError) as refusal:
        view(table, query)
    assert said in str(refusal.value)


def test_a_cursor_is_good_for_its_view_alone(table: Table) -> None:
    """Another filter or order, another number of values or a value of another kind: begin again."""
    asked = view(table, "sort=-pos&limit=5")
    cursor = table.page(asked).next_cursor
    assert cursor is not None
    assert view(table, f"sort=-pos&limit=9&columns=gene&cursor={cursor}").cursor is not None
    forged = [
        asked.cursor_after(seen=0, values=["x"], row=0),
        asked.cursor_after(seen=0, values=[True], row=0),
        asked.cursor_after(seen=0, values=[], row=0),
        asked.cursor_after(seen=-1, values=[1], row=0),
        asked.cursor_after(seen=0, values=[10**30], row=0),
    ]
    by_gene = view(table, "sort=gene")
    with pytest.raises(InputError, match="begin at its first page"):
        by_gene.at(by_gene.cursor_after(seen=0, values=["\ud800"], row=0), table.schema)
    for query in [f"sort=pos&cursor={cursor}", f"sort=-pos&where=gene:is:S&cursor={cursor}"] + [
        f"sort=-pos&cursor={one}" for one in forged
    ]:
        with pytest.raises(InputError, match="begin at its first page"):
            view(table, query)


def test_whatever_is_asked_is_answered_or_refused(table: Table) -> None:
    """Random conditions and orders: a page with its total, or a sentence; never an error of the database."""
    dice = random.Random(3)
    values = [
        "",
        "1",
        "-1",
        "1e400",
        "99999999999999",
        "S",
        "%",
        "_",
        "'",
        '"',
        "a..b",
        "1..2",
        "true",
        "\\",
        "é",
        "\ud800",
        "?",
    ]
    answered = 0
    for _ in range(400):
        pairs = [
            (
                dice.choice(("where", "where.1", "where.2")),
                f"{dice.choice(list(table.schema))}:{dice.choice(list(Operator))}:{dice.choice(values)}",
            )
            for _ in range(dice.choice((1, 1, 2)))
        ]
        pairs += [("match", dice.choice(list(Match))), ("sort", f"-{dice.choice(list(table.schema))}"), ("limit", "3")]
        try:
            asked = View.parse(pairs, table.schema)
        except InputError:
            continue
        assert len(table.page(asked).rows) == min(3, table.total(asked).rows)
        answered += 1
    assert answered > 50


def test_the_total_of_everything_counts_each_variant_once(table: Table) -> None:
    """Without a filter, variants are the rows marked most severe."""
    total = table.total(view(table, ""))
    assert (total.rows, total.variants) == (ROWS, sum(row["most_severe"] for row in everything(table)))


def test_suggestions_begin_as_typed_most_frequent_first(table: Table) -> None:
    """In whatever case; joined terms one by one; only for text."""
    genes = table.suggest("gene", "S")
    assert {one.value for one in genes} == {"S", "s"}
    assert [one.rows for one in table.suggest("gene", "")] == sorted(one.rows for one in table.suggest("gene", ""))[
        ::-1
    ]
    assert [one.value for one in table.suggest("consequence", "sp")] == ["splice_region_variant"]
    assert table.suggest("gene", "' OR 1=1 --") == []
    with pytest.raises(InputError, match="pos holds no text"):
        table.suggest("pos", "1")


def test_sorting_by_a_column_again_turns_it_round_and_then_lets_go(table: Table) -> None:
    """The column chosen last comes first; the one before breaks its ties."""
    asked = view(table, "sort=gene").sorted_by("pos")
    assert asked.sort == (Order(column="pos"), Order(column="gene"))
    assert asked.sorted_by("pos").sort == (Order(column="pos", descending=True), Order(column="gene"))
    assert asked.sorted_by("pos").sorted_by("pos").sort == (Order(column="gene"),)


def test_a_condition_can_be_taken_away_wherever_it_stands(table: Table) -> None:
    """A group of which one is left is a condition like others."""
    asked = view(table, "where=gene:is:S&where.1=impact:is:HIGH&where.1=pos:lt:5&cursor=")
    impact, pos = asked.groups[0]
    assert asked.without(asked.conditions[0]) == view(table, "where.1=impact:is:HIGH&where.1=pos:lt:5")
    assert asked.without(impact) == view(table, "where=gene:is:S&where=pos:lt:5")
    assert asked.without(impact).without(pos) == view(table, "where=gene:is:S")


def test_a_condition_is_added_beside_the_others_or_to_one_of_them(table: Table) -> None:
    """With a condition it makes a group, with a group it stands in it; what is there already is not added again."""
    asked = view(table, "where=gene:is:S&where=pos:lt:5&cursor=")
    (more,) = view(table, "where=gene:is:N").conditions
    assert asked.added(more) == view(table, "where=gene:is:S&where=pos:lt:5&where=gene:is:N")
    joined = asked.added(more, to=0)
    assert joined == view(table, "where=pos:lt:5&where.1=gene:is:S&where.1=gene:is:N")
    (third,) = view(table, "where=gene:is:ORF1ab").conditions
    assert joined.added(third, to=1).groups == (((*joined.groups[0], third)),)
    assert joined.added(more, to=1) == joined
    assert asked.added(asked.conditions[0]) == asked
    with pytest.raises(InputError, match="not there any more"):
        asked.added(more, to=2)
    full = view(table, "where=pos:lt:5&" + "&".join(f"where.{n}=gene:is:S" for n in range(1, 10)))
    with pytest.raises(InputError, match="at most 9 groups"):
        full.added(more, to=0)


def test_known_is_what_has_an_id_or_is_in_a_source(table: Table) -> None:
    """One column says it, however many the sources have."""
    for row in everything(table):
        assert row["known"] is any(row[name] is not None for name in ("id", 'odd"name', "AF"))
    for said in ("true", "false"):
        assert table.total(view(table, f"where=known:is:{said}")).rows > 0


@pytest.mark.parametrize(
    ("typed", "link"),
    [
        ("gene=S", "gene:is:S"),
        ("gene != S", "gene:is-not:S"),
        ("pos>=100", "pos:ge:100"),
        ("pos<100", "pos:lt:100"),
        ("impact in HIGH,MODERATE", "impact:in:HIGH,MODERATE"),
        ("CLINVAR_CLNSIG contains patho", "CLINVAR_CLNSIG:contains:patho"),
        ("pos between 1..5", "pos:between:1..5"),
        ("id filled", "id:filled"),
        ("alt=<DEL>", "alt:is:<DEL>"),
    ],
)
def test_filters_as_they_are_typed(typed: str, link: str) -> None:
    """Signs and words both become the operators of links."""
    assert condition(typed) == link


@pytest.mark.parametrize(
    ("typed", "link"),
    [
        (["gene=S", "pos>1"], "where=gene:is:S&where=pos:gt:1"),
        (["gene=S and pos>1"], "where=gene:is:S&where=pos:gt:1"),
        (["gene=S or gene=N"], "where=gene:is:S&where=gene:is:N&match=any"),
        (["gene=S or gene=N", "pos>1"], "where=pos:gt:1&where.1=gene:is:S&where.1=gene:is:N"),
        (["impact=HIGH and (gene=S OR gene=N)"], "where=impact:is:HIGH&where.1=gene:is:S&where.1=gene:is:N"),
        (
            ["(gene=S or gene=N) and (pos<5 or pos > 9)"],
            "where.1=gene:is:S&where.1=gene:is:N&where.2=pos:lt:5&where.2=pos:gt:9",
        ),
        (["gene=S or (pos>1 and id filled)"], "where=gene:is:S&where.1=pos:gt:1&where.1=id:filled&match=any"),
        (["(gene=S)"], "where=gene:is:S"),
        (["(gene=S and pos>1) and id filled"], "where=gene:is:S&where=pos:gt:1&where=id:filled"),
        (['why_not is "this or that" and alt=p(=)'], "where=why_not:is:this or that&where=alt:is:p(=)"),
        (['gene starts "or"'], "where=gene:starts:or"),
        ([], ""),
    ],
)
def test_filters_are_combined_as_they_are_typed(typed: list[str], link: str) -> None:
    """By and and or, with one level of parentheses; several must all hold."""
    assert filters(typed) == parse_qsl(link, keep_blank_values=True)


def test_any_of_several_filters_is_enough(table: Table) -> None:
    """Where that is asked for; what holds together is then a group."""
    assert filters(["gene=S and pos>1", "id filled"], any_is_enough=True) == [
        *(("where", "id:filled"), ("where.1", "gene:is:S"), ("where.1", "pos:gt:1"), ("match", "any"))
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["gene=S or pos>1 and id filled"], "put parentheses around what belongs together"),
        (["(gene=S or (pos>1 and id filled))"], "parentheses within parentheses"),
        (["gene=S or (pos>1 and id filled)", "alt=A"], "one level of parentheses"),
        (["(gene=S"], r"has a \( too many"),
        (["gene=S)"], r"has a \) too many"),
        (["gene=S or"], "'' in 'gene=S or' is not a filter"),
        (["()"], "is not a filter"),
        (['gene="S'], "that nothing closes"),
        ([f"({letter}=1 or {letter}=2)" for letter in "abcdefghij"], "at most 9 parentheses"),
    ],
)
def test_what_cannot_be_combined_is_refused(typed: list[str], said: str) -> None:
    """In a sentence that shows the place."""
    with pytest.raises(InputError, match=said):
        filters(typed)


def test_a_link_and_a_body_say_the_same() -> None:
    """The body of a call has lists where a link repeats itself."""
    pairs = parse_qsl("where=gene:is:S&where.2=pos:lt:5&where.1=id:filled&where.1=id:empty&sort=-pos,gene&limit=3")
    assert document([*pairs, ("genotypes", "1"), ("cursor", "x")]) == {
        "where": ["gene:is:S"],
        "groups": [["id:filled", "id:empty"], ["pos:lt:5"]],
        "sort": ["-pos", "gene"],
        "limit": 3,
        "genotypes": True,
        "cursor": "x",
    }


@pytest.mark.parametrize("typed", ["", "gene", "gene S", "gene in", "id filled x", "gene like S", "=S"])
def test_what_is_no_filter_is_refused(typed: str) -> None:
    """The sentence shows what one looks like."""
    with pytest.raises(InputError, match="is not a filter: write gene=S"):
        condition(typed)
