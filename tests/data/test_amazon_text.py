import io
import tarfile
from pathlib import Path

import pytest

from transferscope.data import amazon_reviews, amazon_text
from transferscope.errors import RequestError

STARS = {"negative": "2.0", "positive": "5.0"}


def review(title: str, text: str, stars: str) -> str:
    return (
        f"<review>\n<unique_id>\n1\n</unique_id>\n<rating>\n{stars}\n</rating>\n<title>\n{title}\n</title>\n"
        f"<review_text>\n{text}\n\n</review_text>\n</review>\n"
    )


def archive(root: Path, encoding: str = "utf-8", kitchen: str = "kitchen", **changed: str) -> Path:
    """Two reviews a class, the two negative ones of books the same. changed: files by domain_class."""
    path = root / amazon_text.ARCHIVES[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for domain in (*amazon_text.DOMAINS[:3], kitchen):
            for label, stars in STARS.items():
                texts = (
                    ["same", "same"]
                    if (domain, label) == ("books", "negative")
                    else [f"caf\xe9 {label}", f"a < {label}"]
                )
                content = "".join(review(f"On {domain} & more", text, stars) for text in texts)
                content = changed.get(f"{domain}_{label}", content)
                octets = f"<reviews>\n{content}</reviews>\n".encode(encoding)
                member = tarfile.TarInfo(f"sorted_data_acl/{domain}/{label}.review")
                member.size = len(octets)
                file.addfile(member, io.BytesIO(octets))
    return path


@pytest.fixture(autouse=True)
def two_reviews(monkeypatch) -> None:
    monkeypatch.setattr(amazon_text, "EACH", 2)
    amazon_text._read.cache_clear()


@pytest.mark.parametrize(("encoding", "kitchen"), [("utf-8", "kitchen"), ("latin-1", "kitchen_&_housewares")])
def test_a_review_is_its_title_and_text(encoding, kitchen, tmp_path: Path) -> None:
    archive(tmp_path, encoding, kitchen)
    domain = amazon_text.load("x", str(tmp_path), "kitchen")
    assert domain.inputs.items()[0] == (f"On {kitchen} & more\ncaf\xe9 negative",)
    assert domain.inputs.items()[1] == (f"On {kitchen} & more\na < negative",)
    assert domain.ids.tolist() == ["negative-0000", "negative-0001", "positive-0000", "positive-0001"]
    assert domain.labels.tolist() == [0, 0, 1, 1] and domain.groups.tolist() == domain.ids.tolist()
    domain = amazon_text.load("x", str(tmp_path), "books", whole=True)
    assert domain.groups.tolist() == ["negative-0000", "negative-0000", "positive-0000", "positive-0001"]
    assert domain.whole


def test_what_is_missing_or_damaged_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no amazon_reviews/domain_sentiment_data.tar.gz .*download=true"):
        amazon_text.load("x", str(tmp_path), "books")
    with pytest.raises(RequestError, match="domain=book; .*did you mean 'books'"):
        amazon_text.load("x", str(tmp_path), "book")
    one = review("t", "text", "1.0")
    for content, says in [
        (one, "1 reviews in dvd/negative.review, of 2"),
        (one * 2 + one, "3 reviews in dvd/negative.review"),
        (one + one.replace("</review_text>", ""), "dvd/negative.review: review 1 is not whole"),
        (one + review("t", "text", "4.0"), "review 1 has 4.0 stars"),
    ]:
        path = archive(tmp_path, dvd_negative=content)
        amazon_text._read.cache_clear()
        with pytest.raises(RequestError, match=f"damaged .*{says}.*; delete it") as refusal:
            amazon_text.load("x", str(tmp_path), "books")
        assert "\n" not in str(refusal.value)
    path.write_bytes(path.read_bytes()[:200])
    amazon_text._read.cache_clear()
    with pytest.raises(RequestError, match="damaged"):
        amazon_text.load("x", str(tmp_path), "books")


@pytest.mark.slow
def test_reviews_are_those_of_the_bags_of_words(data_root: Path, monkeypatch) -> None:
    """The same groups of equal reviews, and four fifths of a bag's words in the text of that id."""
    monkeypatch.setattr(amazon_text, "EACH", 1000)
    path = amazon_reviews.official_file(str(data_root), amazon_reviews.ARCHIVES, "")
    bags = amazon_reviews._read(path, path.stat().st_mtime_ns)
    for name in amazon_text.DOMAINS:
        domain = amazon_text.load(name, str(data_root), name)
        assert domain.labels.bincount().tolist() == [1000, 1000]
        first: dict[tuple, str] = {}
        same = [
            first.setdefault(tuple(sorted(zip(r.words, r.counts, strict=True))), r.item) for r in bags[name]
        ]
        assert domain.groups.tolist() == same
        for item, (text,), bag in list(zip(domain.ids, domain.inputs.items(), bags[name], strict=True))[
            ::100
        ]:
            words = [word for word in bag.words if "_" not in word]
            assert item == bag.item and sum(w in text.lower() for w in words) > 0.8 * len(words), item
