"""What is said of texts that were cut, from records alone."""

from transferscope.comparison import cut_texts


def of(backbone: str, texts: dict, **section: int) -> dict:
    return {"cell": {"backbone": backbone}, "config": {"backbone": section}, "result": {"texts": texts}}


BOOKS, FILMS = {"books": {"items": 2000, "cut": 544}}, {"films": {"items": 10, "cut": 0}}


def test_one_line_a_domain_and_backbone_and_none_where_nothing_was_cut():
    records = [
        of("minilm", BOOKS | FILMS, max_tokens=256),
        of("minilm", BOOKS, max_tokens=256),  # another seed
        of("gpt2", BOOKS, max_tokens=64),
        of("minilm", FILMS, max_tokens=256),
        {"cell": {"backbone": "lenet"}, "config": {}, "result": {}},
        {"cell": {"backbone": "lenet"}, "reason": "failed, or made elsewhere"},
    ]
    assert cut_texts.lines(records) == [
        f"544 of 2,000 texts of books are longer than backbone.max_tokens={limit}: their ends were left out"
        for limit in ("256 (minilm)", "64 (gpt2)")
    ]


def test_a_record_that_says_no_limit_is_told_of_all_the_same():
    [line] = cut_texts.lines([of("own", {"books": {"items": 2, "cut": 1}})])
    assert line == "1 of 2 texts of books are longer than the backbone takes (own): their ends were left out"
