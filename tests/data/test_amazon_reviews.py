"""amazon_reviews.py against the archive, and on a small one of the same form."""

import io
import tarfile
from pathlib import Path

import pytest
import torch

from transferscope.data import amazon_reviews
from transferscope.errors import RequestError

LINES = {
    ("books", "negative"): ["bad:2 a_book:1 book:1", "book:1 bad:2 a_book:1", "bad:1"],
    ("books", "positive"): ["good:1 book:3 12:30:1"],
    ("dvd", "negative"): ["bad:1 film:1"],
    ("dvd", "positive"): ["good:1 film:2"],
    ("electronics", "negative"): ["bad:1"],
    ("electronics", "positive"): ["good:4"],
    ("kitchen", "negative"): ["bad:1 good:1"],
    ("kitchen", "positive"): ["good:1"],
}


def archive(root: Path, lines: dict[tuple[str, str], list[str]]) -> Path:
    path = root / amazon_reviews.ARCHIVES[0]
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as file:
        for (domain, label), reviews in lines.items():
            content = "".join(f"{review} #label#:{label}\n" for review in reviews).encode()
            info = tarfile.TarInfo(f"processed_acl/{domain}/{label}.review")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def test_columns_are_the_words_in_the_most_reviews_of_all_domains(tmp_path: Path) -> None:
    archive(tmp_path, LINES)
    # bad 6, good 5, book 3, a_book 2, film 2
    domain = amazon_reviews.load("x", str(tmp_path), "books", words=4)
    assert (
        domain.inputs.tolist() == [[2, 0, 1, 1], [2, 0, 1, 1], [1, 0, 0, 0], [0, 1, 3, 0]]
        and domain.inputs.dtype == torch.float32
    )
    assert domain.classes == ("negative", "positive") and domain.labels.tolist() == [0, 0, 0, 1]
    assert domain.ids.tolist() == ["negative-0000", "negative-0001", "negative-0002", "positive-0000"]
    assert amazon_reviews.load("x", str(tmp_path), "dvd", words=5).inputs[:, 4].tolist() == [1, 2]


def test_a_review_that_is_there_twice_is_one_group(tmp_path: Path) -> None:
    archive(tmp_path, LINES)
    # all of its words count, not only those of the vocabulary
    domain = amazon_reviews.load("x", str(tmp_path), "books", words=1)
    assert domain.groups.tolist() == ["negative-0000", "negative-0000", "negative-0002", "positive-0000"]


def test_unlabelled_reviews_are_not_read(tmp_path: Path) -> None:
    archive(tmp_path / "with", LINES | {("books", "unlabeled"): ["film:9 film_good:1"] * 9})
    archive(tmp_path / "without", LINES)
    with_them, without = (
        amazon_reviews.load("x", str(tmp_path / root), "dvd", words=5) for root in ("with", "without")
    )
    assert with_them.digest == without.digest


def test_the_frequencies_are_those_of_the_authors_files(data_root: Path) -> None:
    """The first five columns of the *_train.svmlight files that Ganin et al. published occur in so many of
    the 8,000 labelled reviews."""
    domains = [amazon_reviews.load(name, str(data_root), name) for name in amazon_reviews.DOMAINS]
    assert sum((domain.inputs[:, :5] > 0).sum(0) for domain in domains).tolist() == [
        6079,
        3948,
        3463,
        3434,
        3208,
    ]
    assert all(
        domain.inputs.shape == (2000, 5000) and domain.labels.bincount().tolist() == [1000, 1000]
        for domain in domains
    )
    assert [len(set(domain.groups)) for domain in domains] == [1956, 1954, 1966, 1978]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"domain": "book"}, "domain=book; allowed: books, dvd, electronics, kitchen; did you mean 'books'"),
        ({"words": 0}, "words=0; allowed: 1 to 6"),
        ({"words": 7}, "words=7; allowed: 1 to 6"),
    ],
)
def test_wrong_arguments_are_refused(options: dict, says: str, tmp_path: Path) -> None:
    archive(tmp_path, LINES)
    with pytest.raises(RequestError, match=says):
        amazon_reviews.load("x", str(tmp_path), **({"domain": "books"} | options))


def test_a_missing_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as refusal:
        amazon_reviews.load("x", str(tmp_path), "books")
    assert all(
        part in str(refusal.value)
        for part in (amazon_reviews.ARCHIVES[0], "http", "data_root=", "download=true")
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({("dvd", "positive"): []}, "no reviews in processed_acl/dvd/positive.review"),
        ({("dvd", "positive"): ["good:some"]}, "invalid literal"),
        (
            {("dvd", "positive"): ["good:1 #label#:negative\nfilm:1"]},
            "positive-0000 is no list of word:count that ends in #label#:positive",
        ),
    ],
)
def test_damaged_reviews_are_refused(change: dict, says: str, tmp_path: Path) -> None:
    archive(tmp_path, LINES | change)
    with pytest.raises(
        RequestError, match=f"processed_acl.tar.gz: damaged .*{says}.*fetch it again"
    ) as refusal:
        amazon_reviews.load("x", str(tmp_path), "books")
    assert "\n" not in str(refusal.value)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, LINES)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RequestError, match="damaged"):
        amazon_reviews.load("x", str(tmp_path), "books")
